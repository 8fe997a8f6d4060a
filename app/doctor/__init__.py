"""``quietwater doctor``: names what is wrong with a set-up, why, and what cures it."""
