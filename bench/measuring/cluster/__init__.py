"""The same plan on many hosts."""
