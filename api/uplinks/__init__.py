"""Ways out: to the bureau's platform (HJ 212) and to Home Assistant."""
