"""A fleet that does not exist: believable days of noise and water with labelled disturbances, sent as devices send."""
