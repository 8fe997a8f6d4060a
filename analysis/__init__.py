"""Levels, rollups, presets of the standards, rules, alerts and their delivery."""
