"""The two stores: time series and registry."""
