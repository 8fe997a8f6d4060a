"""Ways out: to the bureau's platform (HJ 212), to SensorThings clients, to Home Assistant."""
