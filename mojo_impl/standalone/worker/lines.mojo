"""Requests that come a line each on standard input, and the answers to them."""
from std.collections import Optional
from std.ffi import external_call

from mlp.runtime.memory import Buffer
from .json import json_text

comptime _MOST_LINE = 1 << 20  # bytes; a longer one is no request
comptime _CHUNK = 1 << 16


struct Lines(Movable):
    """The lines of standard input; answers go to the file that BENCH_REPLY_FD names by number."""

    var _chunk: Buffer[UInt8]
    var _place: Int
    var _end: Int
    var _replies: Int32

    def __init__(out self) raises:
        """Begin.

        Raises:
            When memory runs out.
        """
        self._chunk = Buffer[UInt8](_CHUNK)
        self._place = 0
        self._end = 0
        var number = environment("BENCH_REPLY_FD")
        self._replies = Int32(1)  # standard output
        if number != "":
            self._replies = Int32(atol(number))

    def next(mut self) raises -> Optional[List[UInt8]]:
        """Wait for a line.

        Returns:
            The line without its end; none at the end of the input.

        Raises:
            When it is longer than any request.
        """
        var line = List[UInt8]()
        while True:
            if self._place == self._end:
                self._place = 0
                self._end = external_call["read", Int](
                    Int32(0), self._chunk.start, _CHUNK
                )
                if self._end <= 0:
                    self._end = 0
                    return None
            var byte = self._chunk[self._place]
            self._place += 1
            if byte == UInt8(ord("\n")):
                return line^
            if len(line) == _MOST_LINE:
                raise Error("a request is at most ", _MOST_LINE, " bytes long")
            line.append(byte)

    def answer(self, fields: String):
        """Answer that all is well.

        Args:
            fields: What else is told, as JSON, each with a comma before it.
        """
        self._reply('{"ok": true' + fields + "}\n")

    def refuse(self, message: String):
        """Answer that a request cannot be served.

        Args:
            message: Why.
        """
        self._reply(
            '{"ok": false, "error": "ValueError", "message": '
            + json_text(message)
            + "}\n"
        )

    def _reply(self, line: String):
        """Write a line, all of it."""
        var bytes = line.as_bytes()
        var done = 0
        while done < len(bytes):
            var written = external_call["write", Int](
                self._replies,
                bytes.unsafe_ptr().unsafe_offset(done),
                len(bytes) - done,
            )
            if written <= 0:
                return  # nobody listens
            done += written


def environment(name: StaticString) -> String:
    """Return a variable of the environment.

    Args:
        name: Its name.

    Returns:
        What it says; empty where it is not set.
    """
    var ended = String(name) + "\0"
    var address = external_call["getenv", Int](ended.unsafe_ptr())
    var found = String()
    if address == 0:
        return found
    var text = Pointer[UInt8, MutUntrackedOrigin](unsafe_from_address=address)
    var place = 0
    while text[unsafe_offset=place] != 0:
        found += chr(Int(text[unsafe_offset=place]))
        place += 1
    return found
