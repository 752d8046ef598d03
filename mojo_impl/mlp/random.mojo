"""Draws the random numbers of NumPy's legacy `RandomState`, bit for bit, from the same seed.

NumPy promises never to change that stream. It is the Mersenne Twister MT19937 (Matsumoto and
Nishimura, ACM TOMACS 8, 1998), seeded as in their `init_genrand`; doubles of 53 bits from two
outputs; normals by Marsaglia's polar method, in pairs, the second kept for the next draw; integers
and shuffles by masked rejection. Compile with `--fp-mode contract=off`: a fused multiply-add rounds
once where NumPy rounds twice.
"""
from std.collections import Array
from std.ffi import external_call
from std.math import sqrt

comptime WORDS = 624
"""Words of state of MT19937."""
comptime DISTANCE = 397
"""How far ahead lies the third word that makes a new one."""


struct RandomState(Copyable):
    """The stream of `numpy.random.RandomState(seed)`; a copy goes on by itself."""

    var key: Array[UInt32, WORDS]
    """The words of the twister."""
    var position: Int
    """The next word to give out; WORDS when new ones are due."""
    var has_gauss: Bool
    """Whether the second normal of a pair waits."""
    var gauss: Float64
    """That normal; 0 when none waits."""

    def __init__(out self, seed: UInt32):
        """Start the stream of a seed.

        Args:
            seed: Any 32 bits.
        """
        self.key = Array[UInt32, WORDS](fill=seed)
        for i in range(1, WORDS):
            var last = self.key[i - 1]
            self.key[i] = 1812433253 * (last ^ (last >> 30)) + UInt32(i)
        self.position = WORDS
        self.has_gauss = False
        self.gauss = 0

    def next_word(mut self) -> UInt32:
        """Draw 32 bits.

        Returns:
            The next output of the twister.
        """
        if self.position == WORDS:
            self._twist()
        var word = self.key[self.position]
        self.position += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9D2C5680
        word ^= (word << 15) & 0xEFC60000
        return word ^ (word >> 18)

    def _twist(mut self):
        """Make all the words anew."""
        for i in range(WORDS):
            var upper = self.key[i] & 0x80000000
            var lower = self.key[(i + 1) % WORDS] & 0x7FFFFFFF
            var word = self.key[(i + DISTANCE) % WORDS]
            word ^= (upper | lower) >> 1
            self.key[i] = word ^ ((lower & 1) * 0x9908B0DF)
        self.position = 0

    def random(mut self) -> Float64:
        """Draw a double from [0, 1).

        Returns:
            A multiple of 2**-53.
        """
        var high = self.next_word() >> 5  # 27 bits
        var low = self.next_word() >> 6  # 26 bits
        return (Float64(high) * Float64(1 << 26) + Float64(low)) / Float64(
            1 << 53
        )

    def uniform(mut self, low: Float64, high: Float64) -> Float64:
        """Draw a double from [low, high).

        Args:
            low: The lower end.
            high: The upper end.

        Returns:
            The draw.
        """
        return low + (high - low) * self.random()

    def randn(mut self) -> Float64:
        """Draw from the standard normal distribution.

        Returns:
            The draw; each second one was made with the one before.
        """
        if self.has_gauss:
            self.has_gauss = False
            var kept = self.gauss
            self.gauss = 0
            return kept
        while True:
            var x = 2.0 * self.random() - 1.0
            var y = 2.0 * self.random() - 1.0
            var square = x * x + y * y
            if 0.0 < square < 1.0:
                # The C library's log, as NumPy calls it: another may differ in the last bit.
                var log = external_call["log", Float64](square)
                var scale = sqrt(-2.0 * log / square)
                self.gauss = scale * x
                self.has_gauss = True
                return scale * y

    def normal(mut self, mean: Float64, deviation: Float64) -> Float64:
        """Draw from a normal distribution.

        Args:
            mean: Its mean.
            deviation: Its standard deviation.

        Returns:
            The draw.
        """
        return mean + deviation * self.randn()

    def interval(mut self, most: Int) -> Int:
        """Draw an integer from 0 to `most`, both included.

        Args:
            most: The largest; at least 0.

        Returns:
            The draw, all equally likely.
        """
        if most == 0:
            return 0
        var limit = UInt64(most)
        var mask = limit
        comptime for shift in [1, 2, 4, 8, 16, 32]:
            mask |= mask >> UInt64(shift)
        while True:
            var draw = UInt64(self.next_word())
            if limit > 0xFFFFFFFF:
                draw = draw << 32 | UInt64(self.next_word())
            draw &= mask
            if draw <= limit:
                return Int(draw)

    def shuffle(mut self, values: Pointer[Int, MutUntrackedOrigin], count: Int):
        """Put values in a random order.

        Args:
            values: The first of them.
            count: How many there are.
        """
        for i in reversed(range(1, count)):
            var j = self.interval(i)  # <= i, so both stay inside
            var kept = values[unsafe_offset=i]
            values[unsafe_offset=i] = values[unsafe_offset=j]
            values[unsafe_offset=j] = kept
