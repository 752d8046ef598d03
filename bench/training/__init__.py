"""Trains both networks, to look at. No benchmark."""
