"""The streaming sound level meter, its sources and its tools."""
