"""Shared by the gridworlds of several bodies: where they settle, who may move where, and what each sees around it.

A body is the number of its cell, row * width + column; a body that has left the map is at the cell C = H * W.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid
from jaxrl.types import Array

STAY = (0, 0)


def steps(shape: tuple[int, int], moves: Sequence[tuple[int, int]]) -> np.ndarray:
    """int32 [C + 1, M]: where each move leads from each cell; the map's edge holds, and who has left stays away."""
    reached = grid.neighbours(shape, moves)
    return np.vstack([reached, np.full((1, len(moves)), len(reached))]).astype(np.int32)


def around(shape: tuple[int, int], radius: int) -> np.ndarray:
    """int32 [C + 1, K]: the cells of the window [2 * radius + 1] ** 2 around each cell, row by row.

    C + 1 stands for a place outside of the map; who has left the map (C) has only such places around it.
    """
    height, width = shape
    row, column = np.indices(shape).reshape(2, -1, 1)
    down, right = np.indices((2 * radius + 1, 2 * radius + 1)).reshape(2, -1) - radius
    inside = (row + down >= 0) & (row + down < height) & (column + right >= 0) & (column + right < width)
    outside = height * width + 1
    cells = np.where(inside, (row + down) * width + column + right, outside)
    return np.vstack([cells, np.full((1, cells.shape[1]), outside)]).astype(np.int32)


def holds(places: Array | np.ndarray, bodies: Array) -> Array:
    """bool [...]: some one of the bodies [B] is at each of the places [...]."""
    return jnp.any(places[..., None] == bodies, axis=-1)


def layers(codes: Array, num: int) -> Array:
    """uint8 [...] codes whose bits say what is there -> uint8 [..., num], 0 or 1 per layer.

    The barrier keeps XLA from working the codes out once per layer, which on a CPU takes several times as long.
    """
    return (jax.lax.optimization_barrier(codes)[..., None] >> np.arange(num, dtype=np.uint8)) & 1


def moved(bodies: Array, wanted: Array, others: Array) -> Array:
    """Simultaneous moves: int32 [B], [B] -> [B].

    A body goes where it wants to, unless some body (one of the others [D] included) stood there before or two want
    that cell: then it stays. So no cell ever holds two.
    """
    rivals = jnp.sum(wanted[:, None] == wanted, axis=1) > 1
    return jnp.where(rivals | holds(wanted, jnp.concatenate([bodies, others])), bodies, wanted)


def pick(uniform: Array, allowed: Array) -> Array:
    """int32 [...]: one of the allowed [..., M], all alike, by a uniform number [...] of [0, 1); M - 1 if none is.

    The running count is a product with a triangle of ones: on a CPU several times faster than a cumulative sum.
    """
    num = allowed.shape[-1]
    count = allowed.astype(jnp.float32) @ np.triu(np.ones((num, num), np.float32))
    skipped = jnp.sum(count <= jnp.floor(uniform * count[..., -1])[..., None], axis=-1, dtype=jnp.int32)
    return jnp.minimum(skipped, num - 1)


def settle(uniform: Array, allowed: Array, closed: Array | None = None) -> tuple[Array, Array]:
    """Bodies put down one after the other: uniform [B], allowed bool [C] -> (cells int32 [B], still allowed [C]).

    closed: bool [C, C], the cells that a body at each cell closes for the next ones; by default its own alone. A
    body for which no cell is left is at C.
    """
    num_cells = allowed.shape[0]

    def put(allowed: Array, uniform: Array) -> tuple[Array, Array]:
        cell = pick(uniform, allowed)
        shut = jnp.arange(num_cells) == cell if closed is None else closed[cell]
        return allowed & ~shut, jnp.where(jnp.any(allowed), cell, num_cells)

    allowed, cells = jax.lax.scan(put, allowed, uniform)
    return cells, allowed
