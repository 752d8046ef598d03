"""Makes this repository's own pages. Not installed."""
