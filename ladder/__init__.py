"""The network in what people use today, a module for each: the variants beside NumPy and Mojo.

`bench.model.registry` lists them. Nothing here is imported before it is asked for by name.
"""
