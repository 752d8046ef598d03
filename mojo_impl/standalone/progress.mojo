"""Tells a person how far a training is: one line of a terminal, or a line now and then."""
from std.ffi import external_call
from std.time import perf_counter_ns

from standalone.files.files import number_text

comptime _BETWEEN_FRAMES_NS = 200_000_000
comptime _BETWEEN_LINES_NS = 10_000_000_000
comptime _STANDARD_ERROR = Int32(2)


struct Progress(Movable):
    """A line on standard error, where it is wanted."""

    var _shown: Bool
    var _is_terminal: Bool
    var _epochs: Int
    var _began_ns: Int
    var _last_ns: Int

    def __init__(out self, wanted: String, epochs: Int):
        """Begin.

        Args:
            wanted: The words `auto`, `always` or `never`.
            epochs: How many epochs there will be.
        """
        self._is_terminal = external_call["isatty", Int32](_STANDARD_ERROR) != 0
        self._shown = wanted == "always" or (
            wanted == "auto" and self._is_terminal
        )
        self._epochs = epochs
        self._began_ns = Int(perf_counter_ns())
        self._last_ns = self._began_ns

    def show(mut self, epoch: Int, loss: Float64):
        """Tell of an epoch that is done, unless the last line is too recent.

        Args:
            epoch: From 1.
            loss: Its mean training loss.
        """
        if not self._shown:
            return
        var now_ns = Int(perf_counter_ns())
        var between_ns = (
            _BETWEEN_FRAMES_NS if self._is_terminal else _BETWEEN_LINES_NS
        )
        if epoch < self._epochs and now_ns - self._last_ns < between_ns:
            return
        self._last_ns = now_ns
        var elapsed_s = Float64(now_ns - self._began_ns) / 1e9
        var left_s = elapsed_s / Float64(epoch) * Float64(self._epochs - epoch)
        var line = String("\r\x1b[K") if self._is_terminal else String("")
        line += String(
            t"epoch {epoch} of {self._epochs}, loss {number_text(loss)}, "
        )
        line += String(t"{seconds_text(left_s)} left")
        # The last frame stays.
        if not self._is_terminal or epoch == self._epochs:
            line += "\n"
        say(line)


def seconds_text(seconds: Float64) -> String:
    """Write a time for people.

    Args:
        seconds: The time.

    Returns:
        The time to a tenth of a second.
    """
    var tenths = Int(seconds * 10 + 0.5)
    return String(t"{tenths // 10}.{tenths % 10} s")


def say(text: String):
    """Write to standard error as it is, at once.

    Args:
        text: What to write.
    """
    _ = external_call["write", Int](
        _STANDARD_ERROR, text.unsafe_ptr(), text.byte_length()
    )
