"""Reads the header of a .npy file: a dictionary of three known names, as NumPy writes it.

It may come from anyone: no value is read but text, truth and numbers, and all are bounded.
"""
from mlp.runtime.memory import Buffer
from .files import shown

comptime _MOST_DIGITS = 18  # a number of that many is below 2**63
comptime _MOST_DIMENSIONS = 64  # NumPy's limit


struct Header:
    """Reads the dictionary of a header: three known names, no value but text, truth, numbers."""

    var descr: String
    """NumPy's name of the dtype, such as `<f8`; empty for one with fields."""
    var fortran: Bool
    """Whether columns lie together, not rows."""
    var shape: List[Int]
    """Size of each dimension."""
    var _path: String
    var _text: Buffer[UInt8]
    var _place: Int

    def __init__(out self, path: String, var text: Buffer[UInt8]):
        """Begin before the first byte.

        Args:
            path: Where the file is, for messages.
            text: The header.
        """
        self.descr = ""
        self.fortran = False
        self.shape = List[Int]()
        self._path = path
        self._text = text^
        self._place = 0

    def read(mut self) raises:
        """Read all of it.

        Raises:
            When it is none that NumPy writes.
        """
        var seen = SIMD[DType.bool, 4](fill=False)
        self._take("{")
        while not self._takes("}"):
            var name = self._quoted()
            self._take(":")
            var which: Int
            if name == "descr":
                which = 0
                # One with fields is a list; which they are does not matter.
                self.descr = (
                    self._quoted() if self._peek() != "[" else self._fields()
                )
            elif name == "fortran_order":
                which = 1
                self.fortran = self._truth()
            elif name == "shape":
                which = 2
                self.shape = self._sizes()
            else:
                raise self._damaged()
            if seen[which]:
                raise self._damaged()
            seen[which] = True
            if not self._takes(","):
                self._take("}")
                break
        if not (seen[0] and seen[1] and seen[2]) or self._peek() != "":
            raise self._damaged()

    def _peek(mut self) -> String:
        """Return the next letter that is no space, without taking it; empty at the end."""
        while self._place < self._text.count:
            var byte = self._text[self._place]
            if byte != UInt8(ord(" ")) and byte != UInt8(ord("\n")):
                return chr(Int(byte))
            self._place += 1
        return ""

    def _takes(mut self, letter: String) -> Bool:
        """Take a letter if it is the next one."""
        if self._peek() != letter:
            return False
        self._place += 1
        return True

    def _take(mut self, letter: String) raises:
        """Take a letter that must be the next one."""
        if not self._takes(letter):
            raise self._damaged()

    def _quoted(mut self) raises -> String:
        """Take a text in quotes."""
        var quote = self._peek()
        if quote != "'" and quote != '"':
            raise self._damaged()
        self._place += 1
        var found = String()
        while self._place < self._text.count:
            var letter = chr(Int(self._text[self._place]))
            self._place += 1
            if letter == quote:
                return found
            if letter == "\\":
                raise self._damaged()
            found += letter
        raise self._damaged()

    def _word(mut self) -> String:
        """Take letters of the alphabet."""
        _ = self._peek()
        var found = String()
        while self._place < self._text.count:
            var byte = Int(self._text[self._place])
            if not (
                ord("a") <= byte <= ord("z") or ord("A") <= byte <= ord("Z")
            ):
                break
            found += chr(byte)
            self._place += 1
        return found

    def _truth(mut self) raises -> Bool:
        """Take True or False."""
        var word = self._word()
        if word != "True" and word != "False":
            raise self._damaged()
        return word == "True"

    def _sizes(mut self) raises -> List[Int]:
        """Take a tuple of numbers."""
        var found = List[Int]()
        self._take("(")
        while not self._takes(")"):
            found.append(self._number())
            if len(found) > _MOST_DIMENSIONS:
                raise self._damaged()
            if not self._takes(","):
                self._take(")")
                break
        return found^

    def _number(mut self) raises -> Int:
        """Take a number from 0."""
        _ = self._peek()
        var value = 0
        var digits = 0
        while self._place < self._text.count:
            var digit = Int(self._text[self._place]) - ord("0")
            if not 0 <= digit <= 9:
                break
            digits += 1
            if digits > _MOST_DIGITS:
                raise self._damaged()
            value = value * 10 + digit
            self._place += 1
        if digits == 0:
            raise self._damaged()
        return value

    def _fields(mut self) raises -> String:
        """Pass over a list, lists within it included; its brackets are all that is looked at."""
        var depth = 0
        while self._place < self._text.count:
            var letter = self._peek()
            self._place += 1
            if letter == "[":
                depth += 1
            elif letter == "]":
                depth -= 1
                if depth == 0:
                    return ""
        raise self._damaged()

    def _damaged(self) -> Error:
        """Say that the header is none of NumPy's."""
        return Error(
            t"{shown(self._path)}: its header is damaged at byte {self._place} of"
            t" {self._text.count}; write it again with numpy.save(path, array)"
        )
