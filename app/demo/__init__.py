"""The demo quarter: three sites whose agents play real recordings and replay real registers."""
