"""Simulated meters on a bus, with the faults of real ones: for tests over a real transport, and for trying out."""
