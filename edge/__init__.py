"""Runs on the Pi: sound level meter, meter drivers, outbox, MQTT link, health, agent."""
