"""The quietwater command: composes the parts."""
