"""Draws the random numbers of NumPy's legacy `RandomState`, bit for bit, from the same seed.

NumPy promises never to change that stream. It is the Mersenne Twister MT19937 (Matsumoto and
Nishimura, ACM TOMACS 8, 1998), seeded as in their `init_genrand`; doubles of 53 bits from two
outputs; normals by Marsaglia's polar method, in pairs, the second kept for the next draw; integers
and shuffles by masked rejection. Compile with `--fp-mode contract=off`: a fused multiply-add rounds
once where NumPy rounds twice.
"""
from std.bit import count_leading_zeros
from std.collections import Array
from std.ffi import external_call
from std.math import sqrt

comptime WORDS = 624
"""Words of state of MT19937."""
comptime DISTANCE = 397
"""How far ahead lies the third word that makes a new one."""
comptime _LANES = 16  # words at a time; fewer than DISTANCE and than WORDS - DISTANCE


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
        return _tempered[1](word)

    def _twist(mut self):
        """Make all the words anew."""
        # Each from itself, the next one and the one DISTANCE on, which is new where that passes
        # the end. Words in vectors: all that a vector needs stands before it is written.
        comptime turn = WORDS - DISTANCE
        self._renew[turn](0, DISTANCE)
        self._renew[WORDS - 1 - turn](turn, 0)
        self.key[WORDS - 1] = _twisted[1](
            self.key[WORDS - 1], self.key[0], self.key[DISTANCE - 1]
        )
        self.position = 0

    def _renew[count: Int](mut self, first: Int, far: Int):
        """Make `count` words from `first` on anew, with the words from `far` on."""
        ref key = self.key
        var word = Pointer(to=key[first])
        var other = Pointer(to=key[far])

        # In bounds: the last word of the key is never among these, so each has a next one.
        comptime whole = count // _LANES * _LANES
        for i in range(0, whole, _LANES):
            word.unsafe_store(
                i,
                _twisted[_LANES](
                    word.unsafe_load[width=_LANES](i),
                    word.unsafe_load[width=_LANES](i + 1),
                    other.unsafe_load[width=_LANES](i),
                ),
            )
        for i in range(whole, count):
            word[unsafe_offset=i] = _twisted[1](
                word[unsafe_offset=i],
                word[unsafe_offset=i + 1],
                other[unsafe_offset=i],
            )

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
        comptime most = 0xFFFFFFFF  # beyond it NumPy draws two words for an integer
        var i = count - 1
        while i > most:
            _swap(values, i, self.interval(i))
            i -= 1
        # The same as that for the others, but without a branch on the draw, which no processor can
        # foresee: one too large swaps a value with itself and leaves `i` as it is.
        var words = Array[UInt32, WORDS](fill=0)
        while i > 0:
            if self.position == WORDS:
                self._twist()
            # In bounds: WORDS is a multiple of _LANES, and so is the first place.
            for place in range(self.position // _LANES * _LANES, WORDS, _LANES):
                var key = Pointer(to=self.key[place])
                Pointer(to=words[place]).unsafe_store(
                    0, _tempered[_LANES](key.unsafe_load[width=_LANES]())
                )
            while i > 0 and self.position < WORDS:
                var mask = Int.MAX >> (count_leading_zeros(i) - 1)
                while i > mask >> 1 and self.position < WORDS:
                    var draw = Int(words[self.position]) & mask
                    self.position += 1
                    var taken = draw <= i
                    _swap(values, i, draw if taken else i)
                    i -= Int(taken)


@always_inline
def _swap(values: Pointer[Int, MutUntrackedOrigin], i: Int, j: Int):
    """Exchange two values; none if they are the same."""
    var kept = values[unsafe_offset=i]
    values[unsafe_offset=i] = values[unsafe_offset=j]
    values[unsafe_offset=j] = kept


@always_inline
def _twisted[
    lanes: Int
](
    word: SIMD[DType.uint32, lanes],
    next: SIMD[DType.uint32, lanes],
    far: SIMD[DType.uint32, lanes],
) -> SIMD[DType.uint32, lanes]:
    """Make words anew from themselves, those after them and those DISTANCE on."""
    var mixed = (word & 0x80000000) | (next & 0x7FFFFFFF)
    return far ^ (mixed >> 1) ^ ((next & 1) * 0x9908B0DF)


@always_inline
def _tempered[
    lanes: Int
](key: SIMD[DType.uint32, lanes]) -> SIMD[DType.uint32, lanes]:
    """Make outputs from words of the key."""
    var word = key
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)
