"""Holds what kernels need of the machine: memory, threads, cores, caches."""
