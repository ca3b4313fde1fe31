"""Shared by the level generators: maps, and draws from one vector of uniform numbers."""

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import EMPTY, GREEN_GOAL, GREY_WALL, RED_LAVA
from jaxrl.errors import unknown
from jaxrl.types import Array


def whole(uniform: Array, low: int | Array, high: int | Array) -> Array:
    """int32: a whole number from low up to, not including, high, from a uniform one in [0, 1)."""
    drawn = jnp.floor(uniform * (high - low)).astype(jnp.int32)
    return low + jnp.minimum(drawn, high - low - 1)  # float32 rounds the largest products up


def skip(drawn: Array, *taken: Array) -> Array:
    """The drawn-th of the whole numbers that are not taken; `taken` in ascending order."""
    for each in taken:
        drawn = drawn + (drawn >= each)
    return drawn


def pick(uniform: Array, allowed: Array) -> Array:
    """int32 []: a uniform one of the indices that are allowed, bool [n]."""
    rank = jnp.cumsum(allowed.astype(jnp.int32))
    return jnp.sum(rank <= whole(uniform, 0, rank[-1]), dtype=jnp.int32)


def ranks(uniform: Array) -> Array:
    """int32 [n]: a random order, the rank of each of n uniform numbers among them."""
    return jnp.sum((uniform < uniform[:, None]), -1, dtype=jnp.int32)


def columns_and_rows(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(x, y), int [W * H] each: where each cell is."""
    x, y = np.indices(shape).reshape(2, -1)
    return x, y


def bordered(shape: tuple[int, int], goal: bool = True) -> np.ndarray:
    """int [W * H]: an empty map with a wall around it, and the goal in the lower right corner."""
    (width, height), (x, y) = shape, columns_and_rows(shape)
    wall = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    corner = goal & (x == width - 2) & (y == height - 2)
    return np.where(wall, GREY_WALL, np.where(corner, GREEN_GOAL, EMPTY))


def free_cells(cells: np.ndarray) -> np.ndarray:
    """int32 [n]: the positions of the empty cells."""
    return np.flatnonzero(cells == EMPTY).astype(np.int32)


def obstacles(name: str) -> int:
    """The code of "lava" or "wall"."""
    codes = {"lava": RED_LAVA, "wall": GREY_WALL}
    if name not in codes:
        raise unknown("obstacle", name, codes)
    return codes[name]
