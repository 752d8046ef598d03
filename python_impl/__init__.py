"""The multi-layer perceptron in NumPy, the named baseline of every comparison."""

from python_impl.network import MLP, History

__all__ = ["MLP", "History"]
