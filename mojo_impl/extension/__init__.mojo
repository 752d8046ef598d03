"""Makes the network a type of Python: the extension `mojo_impl._library`."""
