"""The harness put to the test: error rates, power, seeded faults."""
