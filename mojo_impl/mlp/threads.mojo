"""Runs a task on several threads at once, and keeps scratch memory for them.

A `Team` belongs to one caller at a time. `run` is a parallel region: it returns when every thread
has finished. There is no barrier inside a region, no queue and no nesting. A thread without a
task first spins, then sleeps. Only POSIX threads are used, so that Linux and macOS run, and test,
the same code.
"""
from std.atomic import Atomic
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, size_of
from std.sys.intrinsics import inlined_assembly
from std.time import perf_counter_ns

from mlp.caches import l2_bytes
from mlp.memory import Buffer, OutOfMemory

comptime MAX_THREADS = 1024
"""Most threads of a team, far above the machines of today: more is taken for a mistake."""

# Waking a sleeping thread takes about this long, so spinning as long before sleeping costs at
# most twice what the better of the two would.
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
    var pending: Atomic[Int64]  # threads, without the caller, not yet finished
    var apart_2: Array[Int64, 15]
    var sleepers: Atomic[Int64]  # threads that sleep or are about to
    var born: Atomic[Int64]  # threads that have taken their number
    var task: _Task
    var context: Int
    # A pthread_mutex_t takes 40 bytes on Linux and 64 on macOS, a pthread_cond_t 48 on both.
    var mutex: Array[Int64, 8]
    var wake: Array[Int64, 8]


comptime _SharedPointer = Pointer[_Shared, MutUntrackedOrigin]


struct Team(Movable):
    """A fixed number of threads; the caller is thread 0, so a team of one starts none."""

    var threads: Int
    """How many threads there are, the caller included."""
    var l2_bytes: Int
    """Size of the second-level cache of a core, as the machine tells it. May be set, say to test
    small products in many blocks."""
    var work_per_thread: Int
    """Multiply-adds that repay one thread more: some 20 microseconds of them. May be set."""
    var _home: Buffer[Int64]  # holds a _Shared, which must not move
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
        self.l2_bytes = l2_bytes()
        self.work_per_thread = 1 << 20
        self._started = 0
        self._process = _process_id()
        try:
            self._home = Buffer[Int64](size_of[_Shared]() // size_of[Int64]())
            self._handles = Buffer[Int](threads - 1)
            self._scratch = Buffer[UInt8](0)
        except:
            raise NoTeam(threads, _NO_MEMORY)
        var shared = _shared(self._home)
        _ = external_call["pthread_mutex_init", Int32](_mutex(shared), Int(0))
        _ = external_call["pthread_cond_init", Int32](
            _condition(shared), Int(0)
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
            self._started += 1

    def __deinit__(deinit self):
        """Stop the threads and wait for them."""
        # In a forked process there are no such threads, and nobody to wait for.
        if self._process == _process_id():
            _stop(self._home, self._handles, self._started)

    def run[
        Context: AnyType, //, task: def(Context, Int) thin -> None
    ](mut self, ref context: Context, threads: Int):
        """Call `task(context, thread)` for each thread from 0 to `threads - 1`; wait for all.

        In a process forked from the one that made the team, the caller does all of it.

        Parameters:
            Context: What the task is given; inferred.
            task: The work of one thread. It must not raise and must not use the team.

        Args:
            context: Shared by all threads and only read, except through pointers in it.
            threads: How many threads take part, at most those of the team.
        """
        debug_assert(
            0 <= threads <= self.threads, "more threads than there are"
        )
        if threads <= 1 or self._process != _process_id():
            for thread in range(threads):
                task(context, thread)
            return
        ref shared = _shared(self._home)[]
        # Nobody reads these now: the last region is over, the next order not yet given. The
        # address of `context` is good for as long as this call, and no thread uses it longer.
        shared.task = _call[task]
        shared.context = Int(Pointer(to=context))
        shared.pending.store(Int64(threads - 1))
        var count = shared.order.load() // _COUNT + 1
        _give(_shared(self._home), count * _COUNT + Int64(threads))
        task(context, 0)
        # The others are at work or waking up, so this yields and does not sleep.
        while True:
            for _ in range(_LOOKS):
                if shared.pending.load() == 0:
                    return
                _pause()
            _yield()

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


def _stop(home: Buffer[Int64], handles: Buffer[Int], count: Int):
    """Let so many threads end and wait until they have; `home` lives as long as this runs."""
    _give(_shared(home), _STOP)
    for started in range(count):
        _ = external_call["pthread_join", Int32](handles[started], Int(0))


def _give(shared: _SharedPointer, order: Int64):
    """Publish an order and wake who sleeps."""
    shared[].order.store(order)
    # A thread counts itself a sleeper before its last look at the order, and both are sequentially
    # consistent: either it sees this order or it is seen here. The lock then makes sure that it
    # is not between that look and its sleep.
    if shared[].sleepers.load() > 0:
        _ = external_call["pthread_mutex_lock", Int32](_mutex(shared))
        _ = external_call["pthread_cond_broadcast", Int32](_condition(shared))
        _ = external_call["pthread_mutex_unlock", Int32](_mutex(shared))


def _live(address: Int) abi("C") -> Int:
    """Do what the orders say until told to stop: the life of a thread."""
    var shared = _SharedPointer(unsafe_from_address=address)
    var thread = Int(shared[].born.fetch_add(1)) + 1
    var order = Int64(0)
    while True:
        order = _next_order(shared, order)
        if order == _STOP:
            return 0
        if Int64(thread) < order % _COUNT:
            shared[].task(shared[].context, thread)
            _ = shared[].pending.fetch_sub(1)


def _next_order(shared: _SharedPointer, last: Int64) -> Int64:
    """Wait for an order other than the last: spin for a while, then sleep."""
    var patience = perf_counter_ns() + _SPIN_NS
    while perf_counter_ns() < patience:
        for _ in range(_LOOKS):
            var order = shared[].order.load()
            if order != last:
                return order
            _pause()
        _yield()
    _ = shared[].sleepers.fetch_add(1)
    _ = external_call["pthread_mutex_lock", Int32](_mutex(shared))
    while shared[].order.load() == last:
        _ = external_call["pthread_cond_wait", Int32](
            _condition(shared), _mutex(shared)
        )
    _ = external_call["pthread_mutex_unlock", Int32](_mutex(shared))
    _ = shared[].sleepers.fetch_sub(1)
    return shared[].order.load()


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


def _condition(shared: _SharedPointer) -> Int:
    return Int(Pointer(to=shared[].wake))


def _process_id() -> Int32:
    return external_call["getpid", Int32]()


@always_inline
def _pause():
    """Tell the core that this is a spin loop."""
    comptime if CompilationTarget.is_x86():
        inlined_assembly["pause", NoneType, constraints=""]()
    elif CompilationTarget.has_neon():
        inlined_assembly["yield", NoneType, constraints=""]()


def _yield():
    """Offer the core to another thread."""
    _ = external_call["sched_yield", Int32]()
