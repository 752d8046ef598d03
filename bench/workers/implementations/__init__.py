"""The implementations that are built in, and how each is driven."""
