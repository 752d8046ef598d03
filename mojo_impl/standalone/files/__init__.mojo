"""Reads and writes files, those of NumPy's format among them."""
