"""What reports say: facts of a quarter or of all quarters, built into one tree that renderers take."""
