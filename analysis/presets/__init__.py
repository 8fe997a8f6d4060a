"""Numbers of the standards as data: one TOML file a standard, read by ``analysis.standards``."""
