"""Reads memory after it was freed: what a sanitizer must see, or its silence means nothing."""
from mlp.runtime.memory import Buffer


def main() raises:
    var buffer = Buffer[Int](1000)
    var start = buffer.start
    _ = buffer^
    if start[unsafe_offset=500] == 1:
        print("something else is there already")
