"""Runs a task on several threads at once, and keeps scratch memory for them.

A `Team` belongs to one caller at a time. `run` is a parallel region: a task in shares, one for each
thread; it returns when all of them are done. There is no barrier inside a region, no queue and no
nesting. Who waits first spins, offering its core to others, and then sleeps.

A share belongs to whoever claims it first. When the caller has done its own, it takes those that
nobody has begun, because their threads sleep or have no core to run on: so a region never waits for
a thread to wake. A share computes the same whoever does it, and results stay bitwise the same.

Only POSIX threads are used, so that Linux and macOS run, and test, the same code.
"""
from std.atomic import Atomic
from std.collections import Array
from std.ffi import external_call
from std.sys import simd_width_of, size_of
from std.time import perf_counter_ns

from mlp.runtime.caches import Caches
from mlp.runtime.cores import keep_off_this_core, pause
from mlp.runtime.memory import Buffer, OutOfMemory

comptime MAX_THREADS = 1024
"""Most threads of a team, far above the machines of today: more is taken for a mistake."""

comptime WORK_PER_LANE = 1 << 15
"""Vector multiply-adds that repay one thread more: 5 to 10 microseconds, some ten times what a
region costs of threads that are awake. Threads that are awake repay less (`busy_neighbour.mojo` and
`cost_of_threads.mojo` in tests/mojo_impl/mojo measure it); those that sleep cost 13 to 50 microseconds."""

# Waking a sleeping thread takes 20 to 300 microseconds, so spinning as long before sleeping costs
# not much more than what the better of the two would.
comptime _SPIN_NS = 200_000
comptime _LOOKS = 64  # looks at a word between two looks at the clock

comptime _Task = def(Int, Int) thin -> None  # (address of the context, thread)
comptime _STOP = -1
comptime _NO_MEMORY = 12  # ENOMEM on Linux and macOS
# An order is a count of regions and the threads that take part in one word, so that a thread
# that is left out of a region never mixes the facts of two.
comptime _COUNT = 2 * MAX_THREADS


@fieldwise_init
struct NoTeam(ImplicitlyCopyable, Writable):
    """A team of so many threads cannot be had."""

    var threads: Int
    """How many threads were asked for."""
    var reason: Int
    """The system's error number; 0: more than MAX_THREADS, or none."""

    def write_to(self, mut writer: Some[Writer]):
        """Write the sentence a person reads.

        Args:
            writer: Where to.
        """
        if self.reason == 0:
            writer.write(
                "a team has 1 to ", MAX_THREADS, " threads, not ", self.threads
            )
        else:
            writer.write(
                "the system refused to start ",
                self.threads,
                " threads (error ",
                self.reason,
                "); ask for fewer",
            )


struct _Shared:
    """What the threads of a team share; all zero at first. Words that several threads write are
    lines apart, so that they do not slow each other."""

    var order: Atomic[Int64]  # what to do: changes with each region
    var apart_1: Array[Int64, 15]
    var pending: Atomic[
        Int64
    ]  # shares of the others, not yet done by them or the caller
    var apart_2: Array[Int64, 15]
    var sleepers: Atomic[
        Int64
    ]  # threads that sleep or are about to, the caller included
    var born: Atomic[Int64]  # threads that have taken their number
    var task: _Task
    var context: Int
    var seats: Pointer[_Seat, MutUntrackedOrigin]  # one for each thread
    var handles: Pointer[
        Int, MutUntrackedOrigin
    ]  # a pthread_t for each but the caller
    var mutex: Array[
        Int64, 8
    ]  # a pthread_mutex_t: 40 bytes on Linux, 64 on macOS


struct _Seat:
    """What belongs to one thread, the size of a cache line; all zero at first."""

    var claimed: Atomic[Int64]  # the last order for which its share was claimed
    var asleep: Int64  # whether it sleeps; under the mutex
    var wake: Array[Int64, 6]  # a pthread_cond_t: 48 bytes on Linux and macOS


comptime _SharedPointer = Pointer[_Shared, MutUntrackedOrigin]


struct Team(Movable):
    """A fixed number of threads; the caller is thread 0, so a team of one starts none."""

    var threads: Int
    """How many threads there are, the caller included."""
    var caches: Caches
    """The caches of a core, as the machine tells them. May be set, say to test small products in
    many blocks."""
    var work_per_thread: Int
    """Multiply-adds in float64 that repay one thread more, WORK_PER_LANE for each number of a
    vector at first. May be set."""
    # These hold a _Shared and a _Seat for each thread, which must not move.
    var _home: Buffer[Int64]
    var _seats: Buffer[Int64]
    var _handles: Buffer[Int]
    var _started: Int
    var _process: Int32
    var _scratch: Buffer[UInt8]

    def __init__(out self, threads: Int) raises NoTeam:
        """Start `threads - 1` threads.

        Args:
            threads: How many threads there are to be, the caller included: 1 to MAX_THREADS.

        Raises:
            When `threads` is out of range, or the system refuses a thread or memory.
        """
        if threads < 1 or threads > MAX_THREADS:
            raise NoTeam(threads, 0)
        self.threads = threads
        self.caches = Caches.of_machine()
        self.work_per_thread = WORK_PER_LANE * simd_width_of[DType.float64]()
        self._started = 0
        self._process = _process_id()
        try:
            self._home = Buffer[Int64](size_of[_Shared]() // size_of[Int64]())
            self._seats = Buffer[Int64](
                threads * size_of[_Seat]() // size_of[Int64]()
            )
            self._handles = Buffer[Int](threads - 1)
            self._scratch = Buffer[UInt8](0)
        except:
            raise NoTeam(threads, _NO_MEMORY)
        var shared = _shared(self._home)
        shared[].seats = self._seats.start.unsafe_bitcast[_Seat]()
        shared[].handles = self._handles.start
        _ = external_call["pthread_mutex_init", Int32](_mutex(shared), Int(0))
        for thread in range(threads):
            _ = external_call["pthread_cond_init", Int32](
                _condition(shared, thread), Int(0)
            )
        while self._started < threads - 1:
            var refused = external_call["pthread_create", Int32](
                Pointer(to=self._handles[self._started]),
                Int(0),
                _live,
                Int(shared),
            )
            if refused != 0:
                # All fields are set, so the destructor runs and ends those that have started.
                raise NoTeam(threads, Int(refused))
            keep_off_this_core(self._handles[self._started])
            self._started += 1

    def __deinit__(deinit self):
        """Stop the threads and wait for them."""
        # In a forked process there are no such threads, and nobody to wait for.
        if self._process == _process_id():
            _stop(self._home, self._seats, self._handles, self._started)

    def threads_for[dt: DType](self, multiply_adds: Int) -> Int:
        """Tell how many threads some work repays.

        Parameters:
            dt: Type of the numbers; a vector holds twice as many of half the size.

        Args:
            multiply_adds: The work.

        Returns:
            From 1 to the threads of the team.
        """
        var alike = multiply_adds * size_of[Scalar[dt]]() // size_of[Float64]()
        if self.threads == 1 or alike < 2 * self.work_per_thread:
            return 1  # without a division, which would cost a small product one percent
        return min(self.threads, alike // self.work_per_thread)

    def run[
        Context: AnyType,
        //,
        task: def(Context, Int) thin -> None,
        *,
        each_its_own: Bool = False,
    ](mut self, ref context: Context, threads: Int):
        """Call `task(context, share)` for each share from 0 to `threads - 1`; wait for all.

        In a process forked from the one that made the team, the caller does all of it.

        Parameters:
            Context: What the task is given; inferred.
            task: The work of one share. It must not raise and must not use the team.
            each_its_own: Whether to wait until every thread has come to do its share, instead of
                doing those of late threads: to ask the threads something, or to time them.

        Args:
            context: Shared by all threads and only read, except through pointers in it.
            threads: How many shares there are, and threads that take part; at most those of the
                team.
        """
        debug_assert(
            0 <= threads <= self.threads, "more threads than there are"
        )
        if threads <= 1 or self._process != _process_id():
            for share in range(threads):
                task(context, share)
            return
        var shared = _shared(self._home)
        # Nobody reads these now: the last region is over, the next order not yet given. The
        # address of `context` is good for as long as this call, and no thread uses it longer.
        shared[].task = _call[task]
        shared[].context = Int(Pointer(to=context))
        shared[].pending.store(Int64(threads - 1))
        var order = (shared[].order.load() // _COUNT + 1) * _COUNT
        order += Int64(threads)
        _give(shared, order, threads)
        task(context, 0)
        comptime if not each_its_own:
            for share in range(1, threads):
                if shared[].pending.load() == 0:
                    return
                if _claim(shared, share, order):
                    task(context, share)
                    _ = shared[].pending.fetch_sub(1)
        _wait_until[_nothing_pending](shared, 0, 0)

    def scratch[
        dt: DType
    ](mut self, count: Int) raises OutOfMemory -> Pointer[
        Scalar[dt], MutUntrackedOrigin
    ]:
        """Lend memory for scratch, good until the next call.

        Parameters:
            dt: Type of the elements.

        Args:
            count: How many elements.

        Returns:
            The memory, aligned to a cache line, its content undefined.

        Raises:
            When memory runs out.
        """
        var bytes = count * size_of[Scalar[dt]]()
        if bytes > self._scratch.count:
            self._scratch = Buffer[UInt8](bytes)
        return self._scratch.start.unsafe_bitcast[Scalar[dt]]()


def _stop(
    home: Buffer[Int64], seats: Buffer[Int64], handles: Buffer[Int], count: Int
):
    """Let so many threads end and wait until they have; all arguments live as long as this runs."""
    _give(_shared(home), _STOP, count + 1)
    for started in range(count):
        _ = external_call["pthread_join", Int32](handles[started], Int(0))


def _give(shared: _SharedPointer, order: Int64, threads: Int):
    """Publish an order and wake those of the first so many threads that sleep."""
    shared[].order.store(order)
    _wake(shared, 1, threads)


def _wake(shared: _SharedPointer, first: Int, end: Int):
    """Wake the threads that sleep among some, after a change that they may be waiting for."""
    # A thread counts itself a sleeper before its last look at what it waits for, and both are
    # sequentially consistent: either it sees the change or it is seen here. The lock then makes
    # sure that it is not between that look and its sleep.
    if shared[].sleepers.load() > 0:
        _ = external_call["pthread_mutex_lock", Int32](_mutex(shared))
        for thread in range(first, end):
            if _seat(shared, thread)[].asleep != 0:
                if thread > 0:
                    keep_off_this_core(
                        shared[].handles[unsafe_offset=thread - 1]
                    )
                _ = external_call["pthread_cond_signal", Int32](
                    _condition(shared, thread)
                )
        _ = external_call["pthread_mutex_unlock", Int32](_mutex(shared))


def _live(address: Int) abi("C") -> Int:
    """Do what the orders say until told to stop: the life of a thread."""
    var shared = _SharedPointer(unsafe_from_address=address)
    var thread = Int(shared[].born.fetch_add(1)) + 1
    var order = Int64(0)
    while True:
        _wait_until[_is_concerned](shared, thread, order)
        order = shared[].order.load()
        if order == _STOP:
            return 0
        # This may be late, and the region over: then the share is claimed, by the caller.
        if Int64(thread) < order % _COUNT and _claim(shared, thread, order):
            shared[].task(shared[].context, thread)
            if shared[].pending.fetch_sub(1) == 1:
                _wake(shared, 0, 1)


def _claim(shared: _SharedPointer, share: Int, order: Int64) -> Bool:
    """Try to be the one that does a share of the region of an order.

    The word of a share holds the last order for which it was claimed. Orders grow, and a region
    does not end before all its shares are claimed: so for a region that is over this is refused,
    and the task and the context of one that is not are good to use.
    """
    ref claimed = _seat(shared, share)[].claimed
    var last = claimed.load()
    return last < order and claimed.compare_exchange(last, order)


def _is_concerned(shared: _SharedPointer, thread: Int, last: Int64) -> Bool:
    """Tell whether there is an order other than the last for a thread."""
    var order = shared[].order.load()
    return order != last and (order == _STOP or Int64(thread) < order % _COUNT)


def _nothing_pending(shared: _SharedPointer, thread: Int, last: Int64) -> Bool:
    """Tell whether all shares are done."""
    return shared[].pending.load() == 0


def _wait_until[
    is_over: def(_SharedPointer, Int, Int64) thin -> Bool
](shared: _SharedPointer, thread: Int, last: Int64):
    """Let a thread wait until something is so: spin for a while, then sleep."""
    var patience = perf_counter_ns() + _SPIN_NS
    while perf_counter_ns() < patience:
        for _ in range(_LOOKS):
            if is_over(shared, thread, last):
                return
            pause()
        _ = external_call["sched_yield", Int32]()  # offers the core to others
    # Asleep, a thread leaves its core to one that is at work but waits for a core itself: the
    # system does not move that one to a core that looks busy.
    _ = shared[].sleepers.fetch_add(1)
    _ = external_call["pthread_mutex_lock", Int32](_mutex(shared))
    _seat(shared, thread)[].asleep = 1
    while not is_over(shared, thread, last):
        _ = external_call["pthread_cond_wait", Int32](
            _condition(shared, thread), _mutex(shared)
        )
    _seat(shared, thread)[].asleep = 0
    _ = external_call["pthread_mutex_unlock", Int32](_mutex(shared))
    _ = shared[].sleepers.fetch_sub(1)


def _call[
    Context: AnyType, //, task: def(Context, Int) thin -> None
](address: Int, thread: Int):
    """Call a task with the context at an address."""
    task(
        Pointer[Context, MutUntrackedOrigin](unsafe_from_address=address)[],
        thread,
    )


def _shared(home: Buffer[Int64]) -> _SharedPointer:
    return home.start.unsafe_bitcast[_Shared]()


def _mutex(shared: _SharedPointer) -> Int:
    return Int(Pointer(to=shared[].mutex))


def _seat(
    shared: _SharedPointer, thread: Int
) -> Pointer[_Seat, MutUntrackedOrigin]:
    # In bounds: a team has a seat for each of its threads, and no order has more shares.
    return shared[].seats.unsafe_offset(thread)


def _condition(shared: _SharedPointer, thread: Int) -> Int:
    return Int(Pointer(to=_seat(shared, thread)[].wake))


def _process_id() -> Int32:
    return external_call["getpid", Int32]()
