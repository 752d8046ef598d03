"""Prints draws from `mlp.random` for `tests/mojo_impl/test_mojo_random.py`, which compares them with NumPy.

Each argument is `seed:count`. For each, one fresh stream gives, in this order, `count` of each kind:
normals, a shuffled range, one more normal, uniforms from [-6, 6), normals around 0.5 of deviation
0.001, a shuffled range, and at last one draw below 2**40. Every draw is printed on a line of its own,
doubles as the integer of their bits.
"""
from std.sys import argv

from mlp.random import RandomState
from mlp.runtime.memory import Buffer


def main() raises:
    for place in range(1, len(argv())):
        var parts = String(argv()[place]).split(":")
        var stream = RandomState(UInt32(atol(parts[0])))
        var count = atol(parts[1])
        for _ in range(count):
            print_bits(stream.randn())
        print_shuffled(stream, count)
        print_bits(stream.randn())
        for _ in range(count):
            print_bits(stream.uniform(-6.0, 6.0))
        for _ in range(count):
            print_bits(stream.normal(0.5, 0.001))
        print_shuffled(stream, count)
        print(stream.interval(2**40 - 1))


def print_bits(value: Float64):
    """Print the bits of a double as an integer.

    Args:
        value: The double.
    """
    print(value.to_bits())


def print_shuffled(mut stream: RandomState, count: Int) raises:
    """Print a shuffled range, one number to a line.

    Args:
        stream: What shuffles.
        count: Length of the range.

    Raises:
        When memory runs out.
    """
    var order = Buffer[Int](count)
    for i in range(count):
        order[i] = i
    stream.shuffle(order.start, count)
    for i in range(count):
        print(order[i])
