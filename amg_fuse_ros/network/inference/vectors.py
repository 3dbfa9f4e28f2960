"""Compiled inner loops on vectors, written as the vector instructions that they are to become.

LLVM turns loops over arrays into vector code, but doesn't keep a block of results in registers
over several loops around it, and half of the time of a network on a CPU hangs on that. So the few
innermost blocks are spelled out here in LLVM's own terms, through llvmlite, with vectors of the
width that the processor has; everything around them is ordinary numba. LLVM splits the vectors
where a processor has shorter ones.

Each ``make_*`` function returns an operation that compiled code may call. Arrays are passed with
the offset of their first element, and planes and rows by their distances, all in elements; what
lies where is described in :mod:`amg_fuse_ros.network.inference.layout`. Elements are float32 or
float64.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR_BYTES = 64
"""What rows of planes are aligned to, whatever the processor has."""

_HAS_AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
OUTPUTS = 8 if _HAS_AVX512 else 4
"""Output channels whose results are kept in registers at once, see :func:`make_dense`."""

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)

Operation = Callable[..., Any]


class _Block:
    """Emits vector code for arrays of one element type."""

    def __init__(self, context: Any, builder: Any, array: Any) -> None:
        self.context, self.builder = context, builder
        self.itemsize = array.dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.itemsize
        self.scalar = context.get_data_type(array.dtype)
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def pointer(self, array_type: types.Array, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def at(self, offset: Any, *more: Any) -> Any:
        """Sum of offsets; plain integers become constants."""
        for term in more:
            offset = self.builder.add(offset, self.number(term))
        return offset

    def number(self, value: Any) -> Any:
        return ir.Constant(_I64, value) if isinstance(value, int) else value

    def times(self, value: Any, factor: Any) -> Any:
        return self.builder.mul(self.number(value), self.number(factor))

    def load(self, base: Any, offset: Any) -> Any:
        place = self.builder.bitcast(
            self.builder.gep(base, [self.number(offset)]), self.vector.as_pointer()
        )
        loaded = self.builder.load(place)
        loaded.align = self.itemsize
        return loaded

    def store(self, value: Any, base: Any, offset: Any) -> None:
        place = self.builder.bitcast(self.builder.gep(base, [offset]), self.vector.as_pointer())
        self.builder.store(value, place).align = self.itemsize

    def spread(self, base: Any, offset: Any) -> Any:
        """One element in all lanes."""
        value = self.builder.load(self.builder.gep(base, [self.number(offset)]))
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(_I32, 0)
        )
        lanes = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), lanes)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        product = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(product, c, flags=("contract",))

    def relu(self, value: Any) -> Any:
        positive = self.builder.fcmp_unordered(">", value, self.zero)  # NaN stays NaN
        return self.builder.select(positive, value, self.zero)

    def variables(self, *shape: int) -> Any:
        """Vectors that live in registers over a loop; zero at first."""
        if len(shape) > 1:
            return [self.variables(*shape[1:]) for _ in range(shape[0])]
        places = [cgutils.alloca_once(self.builder, self.vector) for _ in range(shape[0])]
        for place in places:
            self.builder.store(self.zero, place)
        return places

    def add_product(self, place: Any, a: Any, b: Any) -> None:
        self.builder.store(self.multiply_add(a, b, self.builder.load(place)), place)

    def sum_lanes(self, value: Any) -> Any:
        width = self.lanes
        while width > 1:
            width //= 2
            lanes = ir.Constant(
                ir.VectorType(_I32, self.lanes),
                [i + width if i < width else i for i in range(self.lanes)],
            )
            other = self.builder.shuffle_vector(value, value, lanes)
            value = self.builder.fadd(value, other)
        return self.builder.extract_element(value, ir.Constant(_I32, 0))


def _operation(arguments: str, emit: Callable[..., None]) -> Operation:
    """An operation without result, from what emits its code.

    Args:
        arguments: One letter each: ``a`` an array, ``i`` an integer.
        emit: Called with a block and the arguments, arrays as pointers.
    """

    def typing(context: Any, *found: Any) -> Any:
        del context
        signature = types.void(
            *(t if kind == "a" else types.int64 for t, kind in zip(found, arguments, strict=True))
        )

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            first = next(t for t in signature.args if isinstance(t, types.Array))
            block = _Block(context, builder, first)
            emit(
                block,
                *(
                    block.pointer(t, value) if kind == "a" else value
                    for t, value, kind in zip(signature.args, values, arguments, strict=True)
                ),
            )
            return context.get_dummy_value()

        return signature, codegen

    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope: dict[str, Any] = {"typing": typing}
    exec(f"def operation(context, {names}): return typing(context, {names})", scope)
    return intrinsic(scope["operation"])


def make_dense(kernel: int, vectors: int) -> Operation:
    """``OUTPUTS`` output channels of a convolution at ``vectors`` neighbouring vectors of pixels.

    The operation's arguments: input array, offset of the window's first element, distance of its
    planes, distance of its rows; weights (channel, tap, output), their offset; bias, its offset;
    number of input channels; residual, offset; output, offset; distance of the planes of residual
    and output; how many of the outputs exist; whether to add the residual; whether to clamp at 0.
    """

    def emit(
        k: _Block, x: Any, x0: Any, plane: Any, row: Any, w: Any, w0: Any, bias: Any, b0: Any,
        channels: Any, r: Any, r0: Any, y: Any, y0: Any, y_plane: Any, valid: Any,
        add: Any, clamp: Any,
    ) -> None:  # fmt: skip
        b = k.builder
        sums = k.variables(OUTPUTS, vectors)
        for m in range(OUTPUTS):
            start = k.spread(bias, k.at(b0, m))
            for j in range(vectors):
                b.store(start, sums[m][j])
        with cgutils.for_range(b, channels, intp=_I64) as loop:
            window = k.at(x0, k.times(loop.index, plane))
            weights = k.at(w0, k.times(loop.index, kernel * kernel * OUTPUTS))
            for tap in range(kernel * kernel):
                dy, dx = divmod(tap, kernel)
                place = k.at(window, k.times(row, dy), dx)
                pixels = [k.load(x, k.at(place, k.lanes * j)) for j in range(vectors)]
                for m in range(OUTPUTS):
                    weight = k.spread(w, k.at(weights, tap * OUTPUTS + m))
                    for j in range(vectors):
                        k.add_product(sums[m][j], pixels[j], weight)
        for m in range(OUTPUTS):
            with b.if_then(b.icmp_signed(">", valid, k.number(m))):
                with b.if_then(b.icmp_signed("!=", add, k.number(0))):
                    for j in range(vectors):
                        old = k.load(r, k.at(r0, k.times(y_plane, m), k.lanes * j))
                        b.store(b.fadd(b.load(sums[m][j]), old), sums[m][j])
                with b.if_then(b.icmp_signed("!=", clamp, k.number(0))):
                    for j in range(vectors):
                        b.store(k.relu(b.load(sums[m][j])), sums[m][j])
                for j in range(vectors):
                    target = k.at(y0, k.times(y_plane, m), k.lanes * j)
                    k.store(b.load(sums[m][j]), y, target)

    return _operation("aiiiaiaiiaiaiiiii", emit)


def make_depthwise(
    kernels: tuple[int, ...], inputs: int, rows: int, vectors: int, *, clamp: bool
) -> Operation:
    """Depthwise convolutions of ``rows`` x ``vectors`` vectors of pixels.

    With several kernels each gives a result of its own from the same input; with several inputs
    their results are added. The operation's arguments: per input the array and the offset of the
    window's first element (the largest kernel's); distance of the inputs' rows; per kernel weights
    (input, tap) and their offset; per kernel output and its offset; distance of the outputs' rows.
    """
    largest = max(kernels)

    def emit(k: _Block, *arguments: Any) -> None:
        taken = list(arguments)

        def pairs(n: int) -> list[tuple[Any, Any]]:
            return [(taken.pop(0), taken.pop(0)) for _ in range(n)]

        sources = pairs(inputs)
        x_row = taken.pop(0)
        weights, outputs = pairs(len(kernels)), pairs(len(kernels))
        y_row = taken.pop(0)
        b = k.builder
        total: Any = [[[None] * vectors for _ in range(rows)] for _ in kernels]
        for i, (x, x0) in enumerate(sources):
            for dx in range(largest):
                columns = []
                for which, size in enumerate(kernels):
                    margin = (largest - size) // 2
                    if margin <= dx < largest - margin:
                        w, w0 = weights[which]
                        column = [
                            k.spread(w, k.at(w0, (i * size + dy) * size + dx - margin))
                            for dy in range(size)
                        ]
                        columns.append((which, size, margin, column))
                for line in range(rows + largest - 1):
                    place = k.at(x0, k.times(x_row, line), dx)
                    pixels = [k.load(x, k.at(place, k.lanes * j)) for j in range(vectors)]
                    for which, size, margin, column in columns:
                        for out in range(rows):
                            dy = line - out - margin
                            if 0 <= dy < size:
                                for j in range(vectors):
                                    old = total[which][out][j]
                                    total[which][out][j] = (
                                        b.fmul(pixels[j], column[dy])
                                        if old is None
                                        else k.multiply_add(pixels[j], column[dy], old)
                                    )
        for which, (y, y0) in enumerate(outputs):
            for out in range(rows):
                for j in range(vectors):
                    value = total[which][out][j]
                    place = k.at(y0, k.times(y_row, out), k.lanes * j)
                    k.store(k.relu(value) if clamp else value, y, place)

    return _operation("ai" * inputs + "i" + "ai" * (2 * len(kernels)) + "i", emit)


def make_products(rows: int, columns: int) -> Operation:
    """Inner products of ``rows`` with ``columns`` long vectors, added to a matrix.

    The operation's arguments: left array, offset, distance of its vectors; right array, offset,
    distance; number of elements, a multiple of the lanes; matrix in float64, offset, distance of
    its rows.
    """

    def emit(
        k: _Block, q: Any, q0: Any, q_row: Any, p: Any, p0: Any, p_row: Any, n: Any,
        matrix: Any, m0: Any, m_row: Any,
    ) -> None:  # fmt: skip
        b = k.builder
        sums = k.variables(rows, columns)
        with cgutils.for_range(b, b.udiv(n, k.number(k.lanes)), intp=_I64) as loop:
            at = k.times(loop.index, k.lanes)
            left = [k.load(q, k.at(q0, k.times(q_row, i), at)) for i in range(rows)]
            right = [k.load(p, k.at(p0, k.times(p_row, j), at)) for j in range(columns)]
            for i in range(rows):
                for j in range(columns):
                    k.add_product(sums[i][j], left[i], right[j])
        for i in range(rows):
            for j in range(columns):
                value: Any = k.sum_lanes(b.load(sums[i][j]))
                if k.itemsize == 4:
                    value = b.fpext(value, ir.DoubleType())
                place = b.gep(matrix, [k.at(m0, k.times(m_row, i), j)])
                b.store(b.fadd(b.load(place), value), place)

    return _operation("aiiaiiiaii", emit)
