"""The harness: cases, parity, lock-step workers, samples on disk, verdicts, report."""
