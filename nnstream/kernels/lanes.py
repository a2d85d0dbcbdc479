"""Thirty-two float32 numbers as one value: vector arithmetic that does not depend on what a compiler recognises.

LLVM vectorises a plain loop only behind checks of its length and of whether the arrays overlap, and keeps no sum in
registers from one loop to the next; for rows of 16 or 32 weights that costs as much again as the arithmetic. These
say outright what is wanted. Each lane is one IEEE operation after the other, in the order written, so the bits are
those of the scalar loop on every processor; one with narrower registers takes several instructions for each.

    total = load(z, 0)
    total = total + spread(x) * load(weights, 32 * row)
    store(z, 0, total)
"""

import operator
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 32
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_INT = ir.IntType(32)
_BITS = ir.VectorType(_INT, WIDTH)
_MAGIC = 0x5F375A86
_ALIGN = 4  # bytes: a float32 of any row


class Lanes(numba.types.Type):  # type: ignore[misc]  # numba has no types
    """The type of `WIDTH` float32 numbers."""

    def __init__(self) -> None:
        super().__init__(f"Lanes({WIDTH})")


LANES = Lanes()


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Lanes) -> None:
        super().__init__(manager, of, _VECTOR)


class _Arithmetic(AbstractTemplate):  # type: ignore[misc]
    """Lanes with lanes give lanes."""

    def generic(self, args: Any, kws: Any) -> Any:
        del kws
        return signature(LANES, LANES, LANES) if args == (LANES, LANES) else None


def _intrinsic(function: Callable[..., Any]) -> Any:
    return intrinsic(function)


def _define(operation: Callable[..., Any], instruction: str) -> None:
    infer_global(operation)(type("_" + instruction, (_Arithmetic,), {"key": operation}))

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        return getattr(builder, instruction)(*args)

    lower_builtin(operation, LANES, LANES)(lower)


for _operation, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _define(_operation, _instruction)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, number, _INT(0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_INT, WIDTH), [0] * WIDTH))


@_intrinsic
def load(_typing: Any, array: Any, index: Any) -> Any:
    """Return `array[index : index + WIDTH]` of a contiguous float32 vector; the caller sees to the bounds."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_pointer(context, builder, sig.args[0], *args))
        value.align = _ALIGN
        return value

    return LANES(array, index), generate


@_intrinsic
def store(_typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write `array[index : index + WIDTH]`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        stored = builder.store(args[2], _pointer(context, builder, sig.args[0], *args[:2]))
        stored.align = _ALIGN
        return context.get_dummy_value()

    return numba.types.void(array, index, lanes), generate


@_intrinsic
def spread(_typing: Any, x: Any) -> Any:
    """Return lanes that all hold the float32 `x`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        return _spread(builder, args[0])

    return LANES(numba.types.float32), generate if x == numba.types.float32 else None


@_intrinsic
def inverse_sqrt(_typing: Any, lanes: Any) -> Any:
    """Return 1 / sqrt of each, too small by at most 0.18 %; some 1e19 for 0.

    Half the exponent, negated, is a first guess (Lomont 2003, "Fast inverse square root"); one step of Newton's
    method makes it y (3 - x y²) / 2. A square root and a division would take four times as long.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        bits = builder.bitcast(args[0], _BITS)
        guess = builder.sub(ir.Constant(_BITS, [_MAGIC] * WIDTH), builder.lshr(bits, ir.Constant(_BITS, [1] * WIDTH)))
        y = builder.bitcast(guess, _VECTOR)
        half = builder.fmul(args[0], ir.Constant(_VECTOR, [0.5] * WIDTH))
        square = builder.fmul(builder.fmul(half, y), y)
        return builder.fmul(y, builder.fsub(ir.Constant(_VECTOR, [1.5] * WIDTH), square))

    return LANES(lanes), generate


@_intrinsic
def where_positive(_typing: Any, condition: Any, lanes: Any) -> Any:
    """Return each of `lanes` where `condition` is above 0, else 0 (also where it is NaN)."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        zero = ir.Constant(_VECTOR, None)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], zero)

    return LANES(condition, lanes), generate


@_intrinsic
def clamp(_typing: Any, lanes: Any, low: Any, high: Any) -> Any:
    """Return each of `lanes`, at least `low` and at most `high` (two float32); NaN becomes `low`."""
    del low, high

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        value, least, most = args[0], _spread(builder, args[1]), _spread(builder, args[2])
        value = builder.select(builder.fcmp_ordered(">", value, least), value, least)
        return builder.select(builder.fcmp_ordered("<", value, most), value, most)

    return LANES(lanes, numba.types.float32, numba.types.float32), generate


@_intrinsic
def power_of_two(_typing: Any, lanes: Any) -> Any:
    """Return 2 to each, for lanes that hold whole numbers from -126 to 127."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        biased = builder.add(builder.fptosi(args[0], _BITS), ir.Constant(_BITS, [127] * WIDTH))
        return builder.bitcast(builder.shl(biased, ir.Constant(_BITS, [23] * WIDTH)), _VECTOR)

    return LANES(lanes), generate


@_intrinsic
def floor(_typing: Any, lanes: Any) -> Any:
    """Return each rounded down; exact below 2^23."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        cut = builder.sitofp(builder.fptosi(args[0], _BITS), _VECTOR)
        above = builder.fcmp_ordered(">", cut, args[0])
        return builder.select(above, builder.fsub(cut, ir.Constant(_VECTOR, [1.0] * WIDTH)), cut)

    return LANES(lanes), generate


@_intrinsic
def exponent(_typing: Any, lanes: Any) -> Any:
    """Return for each positive normal number the e of m 2^e, with m from 0.5 to 1."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        shifted = builder.lshr(builder.bitcast(args[0], _BITS), ir.Constant(_BITS, [23] * WIDTH))
        return builder.sitofp(builder.sub(shifted, ir.Constant(_BITS, [126] * WIDTH)), _VECTOR)

    return LANES(lanes), generate


@_intrinsic
def mantissa(_typing: Any, lanes: Any) -> Any:
    """Return for each positive normal number the m of m 2^e, from 0.5 to 1."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        bits = builder.and_(builder.bitcast(args[0], _BITS), ir.Constant(_BITS, [0x007FFFFF] * WIDTH))
        return builder.bitcast(builder.or_(bits, ir.Constant(_BITS, [0x3F000000] * WIDTH)), _VECTOR)

    return LANES(lanes), generate


def _fold(builder: Any, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the lower half of the lanes with the upper one until one is left: always the same order."""
    width = WIDTH
    while width > 1:
        width //= 2
        undefined = ir.Constant(value.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                value, undefined, ir.Constant(ir.VectorType(_INT, width), list(range(start, start + width)))
            )
            for start in (0, width)
        )
        value = combine(low, high)
    return builder.extract_element(value, _INT(0))


@_intrinsic
def total(_typing: Any, lanes: Any) -> Any:
    """Return the sum of all, halves added lane by lane until one is left."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        return _fold(builder, args[0], builder.fadd)

    return numba.types.float32(lanes), generate


@_intrinsic
def largest(_typing: Any, lanes: Any) -> Any:
    """Return the largest of all; none may be NaN."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context, sig
        return _fold(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return numba.types.float32(lanes), generate
