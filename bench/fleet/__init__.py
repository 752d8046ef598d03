"""Many machines: their runs in one store, asked together, each machine's ratios its own."""
