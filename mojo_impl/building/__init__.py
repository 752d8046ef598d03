"""Compiles the Mojo code: libraries for Python and the stand-alone program, when needed."""
