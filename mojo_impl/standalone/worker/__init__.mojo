"""Makes the program a worker of a benchmark: docs/protocol.md."""
