"""Many machines: the same plan on all of them, and their runs in one store, asked together."""
