"""A stored run as pages, charts and tables."""
