"""The store of many runs."""
