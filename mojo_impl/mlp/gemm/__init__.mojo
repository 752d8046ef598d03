"""Multiplies matrices: `matmul`, and the blocks, packing and tiles below it."""
