"""Trains a multilayer perceptron in Mojo. Knows nothing of Python."""
