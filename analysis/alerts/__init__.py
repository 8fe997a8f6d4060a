"""Alerts: the state machine, what keeps it in the registry, and what people may do to an alert."""
