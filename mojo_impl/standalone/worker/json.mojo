"""Reads an object of JSON on one line as a flat table, and writes texts as JSON.

A value within others is named by the way to it: `problem.layer_sizes.0`. A request may hold
anything: depth and length are bounded, and what is no JSON is told with its place.
"""
from std.ffi import external_call

comptime _MOST_DEPTH = 16
comptime _MOST_VALUES = 10_000
comptime _MOST_DIGITS = 18  # a number of that many is below 2**63


struct Request(Movable):
    """The values of an object that are no objects or lists themselves."""

    var names: List[String]
    """Where each is."""
    var values: List[String]
    """Each as text: strings without quotes, the rest as it was written."""
    var is_text: List[Bool]
    """Whether each was a string."""
    var _line: List[UInt8]
    var _place: Int

    def __init__(out self, var line: List[UInt8]) raises:
        """Read a line.

        Args:
            line: The line, without its end.

        Raises:
            When it is not one object of JSON.
        """
        self.names = List[String]()
        self.values = List[String]()
        self.is_text = List[Bool]()
        self._line = line^
        self._place = 0
        if self._next() != ord("{"):
            raise Error('a request is an object with an "op"')
        self._value("", 0)
        if self._next() != -1:
            raise self._wrong()

    def text(self, name: String) raises -> String:
        """Return a string.

        Args:
            name: Where it is.

        Returns:
            The string.

        Raises:
            When there is none.
        """
        var place = self._find(name)
        if place < 0 or not self.is_text[place]:
            raise Error(name, " must be a string")
        return self.values[place]

    def whole(self, name: String, least: Int) raises -> Int:
        """Return a whole number.

        Args:
            name: Where it is.
            least: The smallest that it may be, at least 0.

        Returns:
            The number.

        Raises:
            When there is none, or it is smaller.
        """
        var place = self._find(name)
        var number = -1
        if place >= 0 and not self.is_text[place]:
            number = _digits(self.values[place])
        if number < least:
            raise Error(name, " must be a whole number of at least ", least)
        return number

    def has(self, name: String) -> Bool:
        """Tell whether there is a value.

        Args:
            name: Where.

        Returns:
            Whether there is one.
        """
        return self._find(name) >= 0

    def _find(self, name: String) -> Int:
        """Return the place of a value; where a key stands twice the last one counts."""
        for place in reversed(range(len(self.names))):
            if self.names[place] == name:
                return place
        return -1

    def _next(mut self) -> Int:
        """Return the next byte that is no space, without taking it; -1 at the end."""
        while self._place < len(self._line):
            var byte = Int(self._line[self._place])
            if byte != 32 and byte != 9 and byte != 10 and byte != 13:
                return byte
            self._place += 1
        return -1

    def _takes(mut self, letter: Int) -> Bool:
        """Take a byte if it is the next one."""
        if self._next() != letter:
            return False
        self._place += 1
        return True

    def _value(mut self, name: String, depth: Int) raises:
        """Read a value of any kind."""
        if depth > _MOST_DEPTH or len(self.names) > _MOST_VALUES:
            raise Error("a request this deep or this large is not read")
        var first = self._next()
        if first == ord("{"):
            self._place += 1
            if self._takes(ord("}")):
                return
            while True:
                var key = self._string()
                if not self._takes(ord(":")):
                    raise self._wrong()
                self._value(name + "." + key if name != "" else key, depth + 1)
                if self._takes(ord("}")):
                    return
                if not self._takes(ord(",")):
                    raise self._wrong()
        elif first == ord("["):
            self._place += 1
            if self._takes(ord("]")):
                return
            var count = 0
            while True:
                self._value(String(t"{name}.{count}"), depth + 1)
                count += 1
                if self._takes(ord("]")):
                    return
                if not self._takes(ord(",")):
                    raise self._wrong()
        elif first == ord('"'):
            var text = self._string()
            self._add(name, text, True)
        else:
            var word = String()
            while self._place < len(self._line):
                var byte = Int(self._line[self._place])
                var letter = ord("a") <= byte <= ord("z") or byte == ord("E")
                var digit = ord("0") <= byte <= ord("9")
                if not (letter or digit or byte == 43 or 45 <= byte <= 46):
                    break
                word += chr(byte)
                self._place += 1
            var known = word == "true" or word == "false" or word == "null"
            if word == "" or not (known or Int(word.as_bytes()[0]) < 58):
                raise self._wrong()
            self._add(name, word, False)

    def _add(mut self, name: String, value: String, is_text: Bool):
        """Keep a value."""
        self.names.append(name)
        self.values.append(value)
        self.is_text.append(is_text)

    def _string(mut self) raises -> String:
        """Read a string."""
        if not self._takes(ord('"')):
            raise self._wrong()
        var found = List[UInt8]()
        while self._place < len(self._line):
            var byte = self._line[self._place]
            self._place += 1
            if byte == UInt8(ord('"')):
                return String(unsafe_from_utf8=Span(found))
            if byte != UInt8(ord("\\")):
                found.append(byte)
                continue
            for part in self._escaped().as_bytes():
                found.append(part)
        raise self._wrong()

    def _escaped(mut self) raises -> String:
        """Read what follows a backslash."""
        if self._place == len(self._line):
            raise self._wrong()
        var letter = Int(self._line[self._place])
        self._place += 1
        if letter == ord('"') or letter == ord("\\") or letter == ord("/"):
            return chr(letter)
        comptime names = StaticString("bfnrt")
        comptime meant = StaticString("\x08\x0c\n\r\t")
        for place in range(5):
            if Int(names.as_bytes()[place]) == letter:
                return chr(Int(meant.as_bytes()[place]))
        if letter != ord("u"):
            raise self._wrong()
        var code = self._hexadecimal()
        if 0xD800 <= code < 0xDC00:  # the first half of a pair
            if not (
                self._place + 1 < len(self._line)
                and self._line[self._place] == UInt8(ord("\\"))
                and self._line[self._place + 1] == UInt8(ord("u"))
            ):
                raise self._wrong()
            self._place += 2
            var second = self._hexadecimal()
            if not 0xDC00 <= second < 0xE000:
                raise self._wrong()
            code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00)
        elif 0xDC00 <= code < 0xE000:
            raise self._wrong()
        return chr(code)

    def _hexadecimal(mut self) raises -> Int:
        """Read four digits."""
        var value = 0
        if self._place + 4 > len(self._line):
            raise self._wrong()
        for _ in range(4):
            var byte = Int(self._line[self._place])
            self._place += 1
            if ord("0") <= byte <= ord("9"):
                value = value * 16 + byte - ord("0")
            elif ord("a") <= (byte | 32) <= ord("f"):
                value = value * 16 + (byte | 32) - ord("a") + 10
            else:
                raise self._wrong()
        return value

    def _wrong(self) -> Error:
        """Say where the line is no JSON."""
        return Error(
            t"a request is a line of JSON; wrong at byte {self._place}"
        )


def json_text(text: String) -> String:
    """Write a text as JSON, in ASCII but for letters that were in it.

    Args:
        text: The text, in UTF-8.

    Returns:
        The text in quotes.
    """
    var result = List[UInt8]()
    result.append(UInt8(ord('"')))
    for byte in text.as_bytes():
        if byte == UInt8(ord('"')) or byte == UInt8(ord("\\")):
            result.append(UInt8(ord("\\")))
        # Controls have no place in our own words; a space tells them well enough.
        result.append(UInt8(32) if byte < 32 else byte)
    result.append(UInt8(ord('"')))
    return String(unsafe_from_utf8=Span(result))


def _digits(text: String) -> Int:
    """Read digits and nothing else; -1 where there is anything else, or too many."""
    var bytes = text.as_bytes()
    if not 1 <= len(bytes) <= _MOST_DIGITS:
        return -1
    var value = 0
    for byte in bytes:
        if not ord("0") <= Int(byte) <= ord("9"):
            return -1
        value = value * 10 + Int(byte) - ord("0")
    return value
