"""From MQTT to the series store: validate, batch, commit, acknowledge, quarantine."""
