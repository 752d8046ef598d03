"""Checks the team of threads: every task once, regions in order, clean ends and refusals."""
from std.atomic import Atomic
from std.bit import pop_count
from std.collections import Array
from std.ffi import external_call
from std.os import listdir
from std.sys import CompilationTarget
from std.testing import (
    TestSuite,
    assert_equal,
    assert_raises,
    assert_true,
)

from mlp.runtime.caches import Caches, parse_size
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import MAX_THREADS, Team


@fieldwise_init
struct Counts(ImplicitlyCopyable):
    """Where each thread counts, and what the region is to see."""

    var each: Pointer[Int, MutUntrackedOrigin]
    var total: Pointer[Atomic[Int64], MutUntrackedOrigin]
    var region: Int64
    var threads: Int64


def count(counts: Counts, thread: Int):
    """Count one call; a region that overlaps the one before would see a wrong total."""
    var before = counts.total[].fetch_add(1)
    var first = counts.region * counts.threads
    if first <= before < first + counts.threads:
        counts.each[unsafe_offset=thread] += 1


def run_regions(mut team: Team, threads: Int, regions: Int) raises:
    """Run many regions in quick succession and check that each thread was in each of them once."""
    var each = Buffer[Int](team.threads)
    var total = Buffer[Int64](1)
    for region in range(regions):
        var counts = Counts(
            each.start,
            total.start.unsafe_bitcast[Atomic[Int64]](),
            Int64(region),
            Int64(threads),
        )
        team.run[count](counts, threads)
    for thread in range(team.threads):
        assert_equal(each[thread], regions if thread < threads else 0)
    assert_equal(total[0], Int64(threads * regions))


def test_every_thread_runs_every_task_once() raises:
    for threads in [1, 2, 3, 8, 33]:
        var team = Team(threads)
        assert_equal(team.threads, threads)
        run_regions(team, threads, 500)


def test_some_of_the_threads() raises:
    var team = Team(5)
    for threads in [5, 1, 2, 4, 0, 3, 5, 2]:
        run_regions(team, threads, 200)


def note(ids: Pointer[Int, MutUntrackedOrigin], share: Int):
    """Write down which thread did a share."""
    ids[unsafe_offset=share] = external_call["pthread_self", Int]()


def test_each_thread_does_its_own_share_where_asked_to() raises:
    var team = Team(4)
    var ids = Buffer[Int](4)
    for turn in range(20):
        if turn % 2 == 1:
            _ = external_call["usleep", Int32](Int32(1000))  # asleep by then
        team.run[note, each_its_own=True](ids.start, 4)
        for share in range(4):
            for other in range(share):
                assert_true(ids[share] != ids[other])


comptime Cores = Array[UInt64, 16]  # a cpu_set_t


def cores_of_this_thread() -> Cores:
    var cores = Cores(fill=0)
    _ = external_call["sched_getaffinity", Int32](
        Int32(0), Int(128), Pointer(to=cores)
    )
    return cores^


def hold_to(cores: Cores):
    _ = external_call["sched_setaffinity", Int32](
        Int32(0), Int(128), Pointer(to=cores)
    )


def count_cores(counts: Pointer[Int, MutUntrackedOrigin], share: Int):
    """Write down on how many cores the thread of a share may run."""
    var count = 0
    for word in cores_of_this_thread():
        count += Int(pop_count(word))
    counts[unsafe_offset=share] = count


def test_threads_are_started_and_woken_off_the_core_of_the_caller() raises:
    comptime if CompilationTarget.is_linux():
        var counts = Buffer[Int](3)
        var team = Team(3)
        var all = cores_of_this_thread()
        for turn in range(4):
            team.run[count_cores, each_its_own=True](counts.start, 3)
            for share in range(1, 3):
                # All that the caller may use but the one where it was.
                assert_equal(counts[share], max(1, counts[0] - 1))
            if turn == 1:
                var here = Int(external_call["sched_getcpu", Int32]())
                var one = Cores(fill=0)
                one[here // 64] = UInt64(1) << UInt64(here % 64)
                hold_to(one)
            _ = external_call["usleep", Int32](Int32(1000))  # asleep by then
        assert_equal(counts[0], 1)
        hold_to(all)


def test_a_caller_sleeps_through_a_long_share() raises:
    """The caller waits for a share of another thread for longer than it spins."""
    var team = Team(2)
    var slept = Buffer[Int](2)
    for _ in range(20):
        team.run[sleep_a_while, each_its_own=True](slept.start, 2)
    assert_equal(slept[1], 20)


def sleep_a_while(slept: Pointer[Int, MutUntrackedOrigin], share: Int):
    if share == 1:
        _ = external_call["usleep", Int32](Int32(1000))
        slept[unsafe_offset=share] += 1


def processor_ns() -> Int:
    """Processor time of all threads of this process."""
    comptime clock = Int32(2 if CompilationTarget.is_linux() else 12)
    var time = Array[Int, 2](fill=0)
    _ = external_call["clock_gettime", Int32](clock, Pointer(to=time))
    return time[0] * 1_000_000_000 + time[1]


def test_little_work_gets_few_threads() raises:
    var team = Team(3)
    var enough = team.work_per_thread
    assert_equal(team.threads_for[DType.float64](0), 1)
    assert_equal(team.threads_for[DType.float64](2 * enough - 1), 1)
    assert_equal(team.threads_for[DType.float64](2 * enough), 2)
    assert_equal(team.threads_for[DType.float32](2 * enough), 1)
    assert_equal(team.threads_for[DType.float32](4 * enough), 2)
    assert_equal(team.threads_for[DType.float64](100 * enough), 3)
    team.work_per_thread = 1
    assert_equal(team.threads_for[DType.float64](2), 2)


def test_idle_threads_take_no_processor_time() raises:
    var team = Team(4)
    run_regions(team, 4, 10)
    # Each spins for 0.2 ms before it sleeps, and starting to sleep costs little.
    var before = processor_ns()
    _ = external_call["usleep", Int32](Int32(100_000))
    assert_true(processor_ns() - before < 20_000_000)
    run_regions(team, 4, 10)


def test_sleeping_threads_wake() raises:
    """Give the threads time to fall asleep; they must come back."""
    var team = Team(4)
    for _ in range(20):
        run_regions(team, 4, 2)
        _ = external_call["usleep", Int32](Int32(1000))  # 5 times the spinning


def test_teams_come_and_go() raises:
    var before = running_threads()
    for turn in range(60):
        var team = Team(1 + turn % 4)
        if turn % 3 > 0:  # some never run
            run_regions(team, team.threads, turn % 3)
    assert_running(before)


def test_a_team_moves() raises:
    var team = Team(3)
    run_regions(team, 3, 10)
    var teams = List[Team]()
    teams.append(team^)
    teams.append(Team(2))
    run_regions(teams[0], 3, 10)


def test_refusals() raises:
    for threads in [0, -1, MAX_THREADS + 1, Int.MAX]:
        with assert_raises(contains="a team has 1 to 1024 threads, not"):
            _ = Team(threads)


def test_a_refused_thread_ends_the_others() raises:
    comptime if CompilationTarget.is_linux():
        var before = running_threads()
        # Room for the stacks of a few threads, and no more.
        comptime address_space = Int32(9)
        var limit = Array[Int, 2](fill=0)
        var all = limit.copy()
        _ = external_call["getrlimit", Int32](address_space, Pointer(to=all))
        limit = all.copy()
        limit[0] = virtual_bytes() + (40 << 20)
        _ = external_call["setrlimit", Int32](address_space, Pointer(to=limit))
        try:
            with assert_raises(
                contains="the system refused to start 200 threads (error 11)"
            ):
                _ = Team(200)
        finally:
            _ = external_call["setrlimit", Int32](
                address_space, Pointer(to=all)
            )
        assert_running(before)


def test_a_forked_process_does_the_work_alone() raises:
    var team = Team(3)
    run_regions(team, 3, 10)
    var child = external_call["fork", Int32]()
    if child == 0:
        _ = external_call["alarm", UInt32](
            UInt32(30)
        )  # ends a child that hangs
        var status = Int32(1)
        try:
            run_regions(team, 3, 10)
            status = 0
        except:
            pass
        external_call["_exit", NoneType](status)
    var status = Int32(-1)
    assert_equal(
        external_call["waitpid", Int32](child, Pointer(to=status), Int32(0)),
        child,
    )
    assert_equal(status, 0)
    run_regions(team, 3, 10)


def test_scratch_grows_and_runs_out() raises:
    var team = Team(1)
    var small = team.scratch[DType.float32](100)
    assert_equal(Int(small) % 64, 0)
    small[unsafe_offset=99] = 1
    var same = team.scratch[DType.float64](50)
    assert_equal(Int(same), Int(small))
    var large = team.scratch[DType.float64](100_000)
    large[unsafe_offset=99_999] = 1
    with assert_raises(contains="out of memory"):
        _ = team.scratch[DType.float64](1 << 50)
    large[unsafe_offset=99_999] = 1  # still there
    assert_equal(team.threads, 1)  # and the team lives until here


def test_cache_size() raises:
    var caches = Caches.of_machine()
    assert_true(4 * 1024 <= caches.l1_bytes <= 192 * 1024)
    assert_true(64 * 1024 <= caches.l2_bytes <= 2 * 1024 * 1024)
    assert_true(caches.l1_bytes < caches.l2_bytes)
    assert_equal(parse_size(text("1024K\n")), 1 << 20)
    assert_equal(parse_size(text("2M")), 2 << 20)
    assert_equal(parse_size(text("77")), 77)
    assert_equal(parse_size(text("what")), 0)
    assert_equal(parse_size(text("")), 0)


def text(characters: String) -> Array[UInt8, 32]:
    var bytes = Array[UInt8, 32](fill=0)
    for place in range(characters.byte_length()):
        bytes[place] = characters.as_bytes()[place]
    return bytes^


def running_threads() raises -> Int:
    """Count the threads of this process, where the system tells."""
    comptime if CompilationTarget.is_linux():
        return len(listdir("/proc/self/task"))
    else:
        return 0


def assert_running(threads: Int) raises:
    """Check that so many threads are left. One that was joined may stay listed for a moment."""
    for _ in range(1000):
        if running_threads() == threads:
            return
        _ = external_call["usleep", Int32](Int32(1000))
    assert_equal(running_threads(), threads)


def virtual_bytes() raises -> Int:
    """Size of the address space of this process."""
    with open("/proc/self/statm", "r") as file:
        return Int(file.read().split(" ")[0]) * 4096


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
