"""Small functions over pytrees: select rows, pack leaves by dtype, count without overflow, split traced from static."""

import typing
from collections.abc import Callable
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Tree


def where(rows: Array, chosen: Tree, other: Tree) -> Tree:
    """Per row: leaves [N, ...] of `chosen` where rows [N] (or [N, A]) holds, of `other` elsewhere."""

    def select(a: Array, b: Array) -> Array:
        return jnp.where(rows.reshape(rows.shape + (1,) * (jnp.ndim(a) - rows.ndim)), a, b)

    return jax.tree.map(select, chosen, other)


def count_up(counter: Array, amount: Array | int) -> Array:
    """counter + amount for int32 [...], staying at the largest value where the sum would overflow."""
    highest = jnp.iinfo(counter.dtype).max
    return jnp.where(counter > highest - amount, highest, counter + amount)


def ravel(params: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """All leaves in one vector [P], and the function that restores them."""
    return jax.flatten_util.ravel_pytree(params)


def packer(example: Tree, batch_axes: int) -> tuple[Callable[[Tree], list[Array]], Callable[[list[Array]], Tree]]:
    """(pack, unpack): all leaves [*batch, ...] of one dtype side by side in one array [*batch, D], and back.

    One gather then serves every leaf. Only the shapes behind `batch_axes` and the dtypes of `example` are read.
    """
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: example))
    shapes = [leaf.shape[batch_axes:] for leaf in leaves]
    dtypes = sorted({leaf.dtype for leaf in leaves}, key=str)
    groups = [[i for i, leaf in enumerate(leaves) if leaf.dtype == dtype] for dtype in dtypes]
    widths = [[int(np.prod(shapes[i], dtype=int)) for i in group] for group in groups]

    def pack(tree: Tree) -> list[Array]:
        flat = [leaf.reshape(*leaf.shape[:batch_axes], -1) for leaf in jax.tree.leaves(tree)]
        return [jnp.concatenate([flat[i] for i in group], axis=-1) for group in groups]

    def unpack(packed: list[Array]) -> Tree:
        restored: list[Any] = [None] * len(leaves)
        for array, group, width in zip(packed, groups, widths, strict=True):
            for i, part in zip(group, jnp.split(array, np.cumsum(width)[:-1], axis=-1), strict=True):
                restored[i] = part.reshape(array.shape[:-1] + shapes[i])
        return jax.tree.unflatten(structure, restored)

    return pack, unpack


def traced(config: Any) -> Any:
    """A config for an agent's state: its `float` fields as float32 arrays, the others, which shape a program, as ()."""
    kinds = typing.get_type_hints(type(config))
    leaves = {k: jnp.asarray(v, jnp.float32) if kinds[k] is float else () for k, v in config._asdict().items()}
    return type(config)(**leaves)
