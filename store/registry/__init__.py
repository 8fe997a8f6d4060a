"""Sites, devices, users, alerts and what else is not a time series."""
