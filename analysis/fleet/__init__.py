"""The fleet of devices: rollouts of its configuration, and which device needs somebody to look after it."""
