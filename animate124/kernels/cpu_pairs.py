"""Two float32 lanes in one 8-byte register, for numba: a float64 is only their carrier.

numba keeps the two features of a table row in two registers and moves them one by one; carried as a
pair they take one load, one multiply-add and one store.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_PAIR = ir.VectorType(ir.FloatType(), 2)
_INT = ir.IntType(32)


def _both(builder, first, second):
    """LLVM vector of two scalars."""
    vector = builder.insert_element(ir.Constant(_PAIR, ir.Undefined), first, ir.Constant(_INT, 0))
    return builder.insert_element(vector, second, ir.Constant(_INT, 1))


@intrinsic
def pair(typingctx, first, second):
    """Pair of two float32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(_both(builder, *arguments), ir.DoubleType())

    return types.float64(types.float32, types.float32), codegen


@intrinsic
def add_scaled(typingctx, total, weight, value):
    """total + weight·value, for pairs `total` and `value` and a float32 weight."""

    def codegen(context, builder, signature, arguments):
        start, factor, other = arguments
        product = builder.fmul(
            _both(builder, factor, factor), builder.bitcast(other, _PAIR), flags=("fast",)
        )
        result = builder.fadd(builder.bitcast(start, _PAIR), product, flags=("fast",))
        return builder.bitcast(result, ir.DoubleType())

    return types.float64(types.float64, types.float32, types.float64), codegen


@intrinsic
def lane(typingctx, value, index):
    """Lane 0 or 1 of a pair, float32."""

    def codegen(context, builder, signature, arguments):
        position = builder.trunc(arguments[1], _INT)
        return builder.extract_element(builder.bitcast(arguments[0], _PAIR), position)

    return types.float32(types.float64, types.int64), codegen
