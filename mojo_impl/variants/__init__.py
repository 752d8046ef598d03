"""The variants of the ladder that are Mojo and not tuned, and what a benchmark drives them by.

Importing this compiles nothing: the first network of a variant does.
"""

from mojo_impl.variants.implementations import MojoMax, MojoPort, MojoSimd

__all__ = ["MojoMax", "MojoPort", "MojoSimd"]
