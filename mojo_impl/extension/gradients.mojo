"""Room for the gradients that `backprop` returns: those of earlier calls, filled again.

Only where nobody outside can see any part of them; docs/design.md says why and how that is known.
"""
from std.ffi import external_call

from extension.core import Core
from extension.cpython import (
    Object,
    Raised,
    Sequence,
    is_held_once,
    release,
    retain,
)
from extension.object import ObjectPointer


def room_for_gradients[
    dt: DType
](object: ObjectPointer, mut core: Core[dt]) raises Raised -> Object:
    """Find or make arrays for gradients; may run Python code, but not after it has looked at them.

    Parameters:
        dt: Type of the network's elements.

    Args:
        object: The network's object, busy.
        core: Its core; afterwards `w` and `b` point to the arrays.

    Returns:
        A tuple of two lists of one array per layer, to be filled.

    Raises:
        MemoryError: There is not enough for new ones.
        RuntimeError: New ones were changed by the garbage collector's callbacks.
    """
    if _is_unseen(core, object[].gradients):
        return retain(object[].gradients)
    # Two take turns where a caller holds on to the last one until he has the next.
    swap(object[].gradients, object[].older_gradients)
    if _is_unseen(core, object[].gradients):
        return retain(object[].gradients)
    var pair = _new(core)
    swap(object[].gradients, pair)
    release(pair)
    pair = object[].gradients
    _ = core.view_list[biases=False](_item(pair, 0))
    _ = core.view_list[biases=True](_item(pair, 1))
    return retain(pair)


def _is_unseen[dt: DType](mut core: Core[dt], pair: Object) -> Bool:
    """Whether a pair of lists, or NULL, is as it was made and known to its holder alone; if so,
    `w` and `b` point to its arrays."""
    if pair == 0 or not is_held_once(pair):
        return False
    var grads_w = _item(pair, 0)
    var grads_b = _item(pair, 1)
    return (
        is_held_once(grads_w)
        and is_held_once(grads_b)
        and core.look_at_list[biases=False, unseen=True](grads_w)
        and core.look_at_list[biases=True, unseen=True](grads_b)
    )


def _new[dt: DType](core: Core[dt]) raises Raised -> Object:
    """Make a pair of lists of arrays, not filled."""
    ref numpy = core.session[].numpy
    var grads_w = Sequence[is_list=True](core.network.depth)
    var grads_b = Sequence[is_list=True](core.network.depth)
    for place in range(core.network.depth):
        var layer = core.network.layers[place]
        grads_w.add(numpy.empty[dt](layer.width_in, layer.width_out))
        grads_b.add(numpy.empty[dt](1, layer.width_out))
    var pair = Sequence[is_list=False](2)
    pair.add(grads_w.take())
    pair.add(grads_b.take())
    return pair.take()


def _item(pair: Object, place: Int) -> Object:
    """Return an item of a tuple, borrowed."""
    return external_call["PyTuple_GetItem", Object](pair, place)
