"""Runs one task on every thread of a team, and keeps the scratch memory of each thread.

A `Team` belongs to one caller at a time: `run` is a parallel region that returns when every thread
has finished. There is no barrier inside a region, no queue and no nesting.
"""
from std.ffi import external_call

comptime Bytes = Pointer[UInt8, MutUntrackedOrigin]
"""Memory without a type, owned by someone else."""


struct Team:
    """A fixed number of threads; the caller is thread 0, so a team of one costs nothing."""

    var threads: Int
    """How many threads take part in a region, the caller included."""

    def __init__(out self, threads: Int) raises:
        """Start `threads - 1` threads.

        Args:
            threads: How many threads take part, the caller included; at least 1.

        Raises:
            When `threads` is below 1, or the system refuses to start a thread.
        """
        if threads < 1:
            raise Error("a team needs at least 1 thread, got ", threads)
        self.threads = threads

    def run[
        Context: AnyType, //, task: def(Context, Int) thin -> None
    ](mut self, ref context: Context):
        """Call `task(context, thread)` once on each thread and wait for all of them.

        Parameters:
            Context: What the task is given; inferred.
            task: The work of one thread. It must not raise and must not use the team.

        Args:
            context: Shared by all threads and only read, except through pointers in it.
        """
        for thread in range(self.threads):
            task(context, thread)
