"""Holds the networks of the ladder that are Mojo and not tuned, and their extensions."""
