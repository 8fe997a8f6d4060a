"""Time series: one interface, several backends."""
