"""NumPy arrays as the extension sees them: look, check, make.

An array is read where it lies, by the layout and the functions of NumPy's C API. `is_plain` is the
whole check of the fast path; what it does not accept goes to `mojo_impl.slow`, which refuses it in
the words of `python_impl.checks` or makes a plain copy.
"""
from std.ffi import external_call

from extension.cpython import (
    Object,
    Raised,
    Words,
    call,
    checked,
    imported,
    python_type,
    raised,
    text,
    words,
    zeroed_words,
)
from mlp.runtime.memory import Ptr

comptime C_CONTIGUOUS = 0x0001
"""Flag of an array whose rows lie one after the other."""
comptime OWNDATA = 0x0004
"""Flag of an array that frees its memory when it goes."""
comptime ALIGNED = 0x0100
"""Flag of an array whose elements lie where the machine wants them."""
comptime WRITEABLE = 0x0400
"""Flag of an array that may be written to."""

comptime NewArray = def(
    Object, Int32, Words, Int32, Int, Int, Int32, Int32, Object
) thin abi("C") -> Object
"""PyArray_New: type, ndim, shape, type number, strides, data, item size, flags, base."""


@fieldwise_init
struct ArrayObject(ImplicitlyCopyable):
    """The layout of a NumPy array: PyArrayObject_fields."""

    var references: Int
    """How many there are."""
    var type: Object
    """The type numpy.ndarray, or a subclass of it."""
    var data: Int
    """Address of the first element."""
    var ndim: Int32
    """Number of dimensions."""
    var shape: Words
    """Size of each."""
    var strides: Words
    """Bytes from one element to the next in each."""
    var base: Object
    """Who owns the data, or NULL."""
    var dtype: Object
    """The dtype."""
    var flags: Int32
    """C_CONTIGUOUS and others."""
    var weak_references: Int
    """Address of the first weak reference to it, or NULL."""


struct NumPy(ImplicitlyCopyable):
    """What the extension knows of NumPy; objects that live as long as the process."""

    var array: Object
    """The type numpy.ndarray."""
    var float64: Object
    """The dtype of that name."""
    var float32: Object
    """The dtype of that name."""
    var new_array: NewArray
    """PyArray_New."""
    var plain_array: Object
    """The function of that name in mojo_impl.slow."""
    var plain_arrays: Object
    """The function of that name in mojo_impl.slow."""

    var _shape: Words  # of the next new array, which copies it at once

    def __init__(out self) raises Raised:
        """Import NumPy and the slow path.

        Raises:
            ImportError, or whatever the imports raise.
        """
        var capsule = imported["numpy._core._multiarray_umath", "_ARRAY_API"]()
        var address = external_call["PyCapsule_GetPointer", Int](capsule, 0)
        if address == 0:
            raise Raised()
        var functions = words(address)
        # The numbers are those of NumPy's C API; PyArray_GetNDArrayCVersion is 0.
        var get_version = functions.unsafe_bitcast[
            def() thin abi("C") -> UInt32
        ]()[unsafe_offset=0]
        if get_version() >> 24 != 2:
            raise raised["ImportError"]("mojo_impl needs NumPy 2")
        self.new_array = functions.unsafe_bitcast[NewArray]()[unsafe_offset=93]
        self._shape = zeroed_words(2)
        self.array = imported["numpy", "ndarray"]()
        var dtype = imported["numpy", "dtype"]()
        self.float64 = call(dtype, text["float64"]())
        self.float32 = call(dtype, text["float32"]())
        self.plain_array = imported["mojo_impl.slow", "plain_array"]()
        self.plain_arrays = imported["mojo_impl.slow", "plain_arrays"]()

    def dtype[dt: DType](self) -> Object:
        """Return the dtype of NumPy that is Mojo's `dt`.

        Parameters:
            dt: Float64 or float32.

        Returns:
            The dtype, borrowed.
        """
        comptime if dt == DType.float64:
            return self.float64
        else:
            return self.float32

    def is_array[dt: DType](self, object: Object, ndim: Int) -> Bool:
        """Tell whether an object is exactly an ndarray of this dtype, dense and aligned.

        Parameters:
            dt: Float64 or float32.

        Args:
            object: Any object.
            ndim: How many dimensions it must have.

        Returns:
            Whether its memory is that many dimensions of such numbers, one after the other.
        """
        if python_type(object) != self.array:
            return False
        var array = look(object)
        comptime dense = Int32(C_CONTIGUOUS | ALIGNED)
        return (
            array.dtype == self.dtype[dt]()
            and Int(array.ndim) == ndim
            and array.flags & dense == dense
        )

    def is_plain[
        dt: DType
    ](self, object: Object, width: Int, rows: Int) -> Bool:
        """Tell whether an object is such an array of shape (rows, width), as most are.

        Parameters:
            dt: Float64 or float32.

        Args:
            object: Any object.
            width: How many columns it must have.
            rows: How many rows; 0 for any number but none.

        Returns:
            Whether its memory is `rows * width` numbers of `dt`.
        """
        if not self.is_array[dt](object, 2):
            return False
        var shape = look(object).shape
        var there = shape[unsafe_offset=0]
        return (
            shape[unsafe_offset=1] == width
            and there > 0
            and (rows == 0 or there == rows)
        )

    def empty[dt: DType](self, rows: Int, columns: Int) raises Raised -> Object:
        """Make an array of (rows, columns), not filled.

        Parameters:
            dt: Float64 or float32.

        Args:
            rows: How many.
            columns: How many.

        Returns:
            The array.

        Raises:
            MemoryError, or ValueError when no memory could hold it.
        """
        comptime type_number = 12 if dt == DType.float64 else 11
        self._shape[unsafe_offset=0] = rows
        self._shape[unsafe_offset=1] = columns
        var array = self.new_array(
            self.array, 2, self._shape, Int32(type_number), 0, 0, 0, 0, 0
        )
        return checked(array)

    @staticmethod
    def freeze(array: Object):
        """Make an array read-only.

        Args:
            array: An array that nobody else knows yet.
        """
        var place = Pointer[ArrayObject, MutUntrackedOrigin](
            unsafe_from_address=array
        )
        place[].flags &= ~Int32(WRITEABLE)


def look(array: Object) -> ArrayObject:
    """Read what NumPy keeps about an array.

    Args:
        array: An ndarray.

    Returns:
        A copy of that.
    """
    return Pointer[ArrayObject, MutUntrackedOrigin](unsafe_from_address=array)[]


def is_unseen(array: Object) -> Bool:
    """Tell whether nobody but the one who holds an array can ever see it or its memory.

    A view, a buffer or an iterator would hold a reference to it.

    Args:
        array: An ndarray.

    Returns:
        Whether it has one reference, no weak one, and memory of its own that may be written to.
    """
    comptime owned = Int32(OWNDATA | WRITEABLE)
    var seen = look(array)
    return (
        seen.references == 1
        and seen.weak_references == 0
        and seen.base == 0
        and seen.flags & owned == owned
    )


def rows_of(array: Object) -> Int:
    """Return how many rows an array has.

    Args:
        array: An ndarray with one dimension or more.

    Returns:
        The size of the first dimension.
    """
    return look(array).shape[unsafe_offset=0]


def numbers[dt: DType](array: Object) -> Ptr[dt]:
    """Return where the numbers of an array lie.

    Parameters:
        dt: Type of its elements.

    Args:
        array: An array that `is_array` accepted, with no Python code run since.

    Returns:
        The first element.
    """
    return Ptr[dt](unsafe_from_address=look(array).data)
