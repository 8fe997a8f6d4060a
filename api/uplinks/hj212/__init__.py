"""HJ 212: measured data to the bureau's platform over TCP, until the platform says that it has them."""
