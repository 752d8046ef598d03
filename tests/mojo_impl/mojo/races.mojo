"""What ThreadSanitizer looks at: teams of threads and products by several of them.

A library for `races.c`, as Mojo's own `main` does not start under that sanitizer; it says why.
"""
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from test_matmul import test_threads_change_no_bit
from test_threads import (
    test_a_caller_sleeps_through_a_long_share,
    test_a_team_moves,
    test_each_thread_does_its_own_share_where_asked_to,
    test_every_thread_runs_every_task_once,
    test_sleeping_threads_wake,
    test_some_of_the_threads,
)


@export
def run_threads() abi("C") -> Int32:
    """Run tests that use threads.

    Returns:
        0 when all of them passed.
    """
    try:
        test_every_thread_runs_every_task_once()
        test_some_of_the_threads()
        test_each_thread_does_its_own_share_where_asked_to()
        test_a_caller_sleeps_through_a_long_share()
        test_sleeping_threads_wake()
        test_a_team_moves()
        test_threads_change_no_bit()
        return 0
    except:
        return 1


def _add(number: Pointer[Int, MutUntrackedOrigin], share: Int):
    number[unsafe_offset=0] += 1


def _race() raises:
    var team = Team(2)
    var number = Buffer[Int](1)
    for _ in range(100):
        team.run[_add, each_its_own=True](number.start, 2)


@export
def run_race() abi("C") -> Int32:
    """Let two threads write one number: what the sanitizer must see.

    Returns:
        0 when there were two threads to do it.
    """
    try:
        _race()
        return 0
    except:
        return 1
