"""Tests of `mlp.timing.probe`: its arithmetic of sizes, and that every thread does its part."""
from std.testing import TestSuite, assert_equal, assert_true

from mlp.runtime.threads import Team
from mlp.timing.probe import cached_count, time_peak, time_triad


def test_the_arrays_of_a_cached_triad_take_at_most_half_of_the_cache() raises:
    for kibibytes in [256, 512, 1000, 1024, 1280, 2048]:
        var count = cached_count(kibibytes * 1024)
        assert_true(count * 24 <= kibibytes * 512)
        assert_true(count * 48 > kibibytes * 512)
    assert_equal(cached_count(1024 * 1024), 16384)
    assert_equal(cached_count(0), 64)


def test_more_work_takes_longer_whatever_the_threads() raises:
    for threads in [1, 2]:
        var team = Team(threads)
        # A thousand times the work against the best of ten: a disturbance cannot turn that round.
        var double = Int.MAX
        var single = Int.MAX
        var triad = Int.MAX
        for _ in range(10):
            double = min(double, time_peak[DType.float64](team, 3 << 17, 1))
            single = min(single, time_peak[DType.float32](team, 3 << 17, 1))
            triad = min(triad, time_triad(team, 1024, 1, 1))
        assert_true(0 < double < time_peak[DType.float64](team, 3 << 17, 1000))
        assert_true(0 < single < time_peak[DType.float32](team, 3 << 17, 1000))
        assert_true(0 < triad < time_triad(team, 1024, 10, 100))


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
