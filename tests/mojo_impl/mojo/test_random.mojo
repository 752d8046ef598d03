"""Tests of `mlp.random` by itself; `tests/mojo_impl/test_mojo_random.py` compares it with NumPy."""
from std.testing import TestSuite, assert_equal, assert_false, assert_true

from mlp.random import RandomState
from mlp.runtime.memory import Buffer


def test_twister_gives_the_published_numbers() raises:
    # MT19937 from seed 5489: the first output, and the 10000th that the C++ standard names.
    var stream = RandomState(5489)
    assert_equal(stream.next_word(), 3499211612)
    for _ in range(9998):
        _ = stream.next_word()
    assert_equal(stream.next_word(), 4123659995)


def test_copy_goes_on_by_itself() raises:
    var stream = RandomState(7)
    _ = stream.randn()  # one waits
    var copy = stream.copy()
    var first = stream.randn()
    for _ in range(1000):
        _ = stream.next_word()
    assert_equal(copy.randn().to_bits(), first.to_bits())


def test_interval_keeps_its_bounds_and_reaches_them() raises:
    var stream = RandomState(0)
    for most in [0, 1, 6, 2**31, 2**40]:
        for _ in range(200):
            var draw = stream.interval(most)
            assert_true(0 <= draw <= most)
    var seen = SIMD[DType.bool, 8](fill=False)
    for _ in range(200):
        seen[stream.interval(6)] = True
    assert_true(seen[0] and seen[6])
    assert_false(seen[7])


def test_random_lies_in_the_unit_interval() raises:
    var stream = RandomState(2**32 - 1)
    for _ in range(1000):
        var draw = stream.random()
        assert_true(0.0 <= draw < 1.0)


def test_shuffle_keeps_every_value() raises:
    for count in [0, 1, 2, 3, 625]:
        var order = Buffer[Int](count)
        for i in range(count):
            order[i] = i
        var stream = RandomState(3)
        stream.shuffle(order.start, count)
        var seen = Buffer[Bool](count)
        for i in range(count):
            assert_false(seen[order[i]])
            seen[order[i]] = True


def test_shuffle_draws_as_interval_does() raises:
    """Several words in one go, from any place in the key, must be the words one by one."""
    for skipped in [0, 1, 15, 16, 300, 607, 608, 623, 624]:
        for count in [1, 2, 3, 64, 65, 500, 1300]:
            var stream = RandomState(11)
            for _ in range(skipped):
                _ = stream.next_word()
            var other = stream.copy()
            var order = Buffer[Int](count)
            var plain = Buffer[Int](count)
            for i in range(count):
                order[i] = i
                plain[i] = i
            stream.shuffle(order.start, count)
            for i in reversed(range(1, count)):
                var j = other.interval(i)
                var kept = plain[i]
                plain[i] = plain[j]
                plain[j] = kept
            for i in range(count):
                assert_equal(order[i], plain[i])
            assert_equal(stream.position, other.position)
            assert_equal(stream.next_word(), other.next_word())


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
