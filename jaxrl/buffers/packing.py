"""Leaves of all dtypes side by side in a few arrays of plain bits, so that one gather reads a whole transition."""

import math

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Tree

Packed = dict[int, Array]  # bytes of an element -> unsigned [*batch, columns]


def pack(tree: Tree, batch_axes: int) -> Packed:
    """Leaves [*batch, ...] as columns [*batch, D]: one array for each width of element, bit for bit, in leaf order.

    What comes first in the tree has the first columns, so a tree that begins alike shares them.
    """
    columns: dict[int, list[Array]] = {}
    for leaf in jax.tree.leaves(tree):
        bits = leaf.astype(jnp.uint8) if leaf.dtype == bool else leaf
        bits = jax.lax.bitcast_convert_type(bits, _unsigned(min(bits.dtype.itemsize, 4)))
        flat = bits.reshape(*bits.shape[:batch_axes], math.prod(bits.shape[batch_axes:]))
        columns.setdefault(flat.dtype.itemsize, []).append(flat)
    return {width: jnp.concatenate(parts, -1) for width, parts in columns.items()}


def unpack(packed: Packed, like: Tree, batch_axes: int) -> Tree:
    """A tree from the first columns [*batch, D] of `packed`; the leaves of `like` [*any batch, ...] say its kind."""
    leaves, structure = jax.tree.flatten(like)
    begin = dict.fromkeys(packed, 0)
    restored = []
    for leaf in leaves:
        shape, size = leaf.shape[batch_axes:], leaf.dtype.itemsize
        width, parts = min(size, 4), max(size // 4, 1)
        end = begin[width] + math.prod(shape) * parts
        bits = packed[width][..., begin[width] : end]
        bits = bits.reshape(*bits.shape[:-1], *shape, *((parts,) if parts > 1 else ()))
        restored.append(bits != 0 if leaf.dtype == bool else jax.lax.bitcast_convert_type(bits, leaf.dtype))
        begin[width] = end
    return jax.tree.unflatten(structure, restored)


def num_columns(like: Tree, batch_axes: int) -> dict[int, int]:
    """{bytes of an element: columns} of what `pack` makes of such a tree."""
    shapes = jax.eval_shape(lambda tree: pack(tree, batch_axes), like)
    return {width: array.shape[-1] for width, array in shapes.items()}


def once(indices: Array) -> Array:
    """The same indices, computed once: without the barrier XLA computes them again for each column of a gather."""
    return jax.lax.optimization_barrier(indices)


def _unsigned(width: int) -> jnp.dtype:
    return jnp.dtype(f"uint{8 * width}")
