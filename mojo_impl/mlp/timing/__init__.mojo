"""Times phases and parts of a network, and probes of the machine, by the monotonic clock."""
