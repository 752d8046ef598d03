"""The same plan on many machines, over Dask: what a host does, what is kept, who collects it."""
