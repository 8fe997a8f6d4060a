"""Telling people: who is told, in which words, by which way, and what happens when a way is closed."""
