"""The operations, one file a noun. Each endpoint's name is its operation id and has a row in ``api.access``."""
