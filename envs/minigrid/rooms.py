"""Shared by the worlds that are a grid of rooms of equal size, as MiniGrid's RoomGrid; rooms share their walls."""

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import EMPTY, GREY_WALL, WALL
from jaxrl.envs.minigrid.levels import columns_and_rows, pick
from jaxrl.types import Array


def room_grid(columns: int, rows: int, size: int) -> tuple[tuple[int, int], np.ndarray]:
    """(the shape (W, H), the map int [W * H]) of a grid of rooms, each `size` cells wide and high with its walls."""
    shape = columns * (size - 1) + 1, rows * (size - 1) + 1
    x, y = columns_and_rows(shape)
    return shape, np.where((x % (size - 1) == 0) | (y % (size - 1) == 0), GREY_WALL, EMPTY)


def inside(column: int, row: int, size: int, height: int) -> np.ndarray:
    """int32 [(size - 2)^2]: the positions inside of a room, in a map of that height."""
    x, y = (1 + start * (size - 1) + np.arange(size - 2) for start in (column, row))
    return (x[:, None] * height + y).ravel().astype(np.int32)


def place_agent(uniform: Array, cells: Array, starts: np.ndarray, height: int) -> tuple[Array, Array]:
    """(position, direction), uniform over those at which the agent stands on a free cell and faces a free cell or wall.

    starts: int [n], the cells to choose from, none of them at the map's edge.
    """
    fronts = starts[:, None] + np.array([height, 1, -height, -1])
    kind = cells[fronts] & 15
    allowed = (cells[starts] == EMPTY)[:, None] & ((kind == EMPTY) | (kind == WALL))
    pose = pick(uniform, allowed.ravel())
    return jnp.asarray(starts)[pose // 4], pose % 4
