"""Readings to estimates, ratios and verdicts. Pure."""
