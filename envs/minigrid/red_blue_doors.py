"""RedBlueDoors (MiniGrid): open the red door, then the blue one.

Reward when the blue door opens after the red one was open. Termination: then, and when the blue one opens first.
Limit: 20 * size^2 steps.
Start: in the middle one of three rooms, at a uniform cell and direction; the red door at a random place of its left
wall, the blue one of its right wall, both closed.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import BLUE, CLOSED, GREY_WALL, OPEN, RED
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, whole
from jaxrl.envs.minigrid.rules import LARGEST, Level, State
from jaxrl.envs.minigrid.world import world
from jaxrl.errors import within
from jaxrl.types import Array, Environment, Key


def red_blue_doors(
    size: int = 8, view: str = "egocentric", reward: str = "minigrid", max_steps: int | None = None
) -> Environment:
    """A map of 2 * size x size cells (MiniGrid's have 6 and 8)."""
    within("size", size, 4, LARGEST // 2)
    shape, left, inside = (2 * size, size), size // 2, size - 2
    (x, y), right = columns_and_rows(shape), size // 2 + size - 1
    rooms = np.where((x == left) | (x == right), GREY_WALL, bordered(shape, goal=False))

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (3,))
        red, blue = whole(uniform[:2], 1, size - 1)
        cells = jnp.where((x == left) & (y == red), CLOSED + 16 * RED, rooms)
        cells = jnp.where((x == right) & (y == blue), CLOSED + 16 * BLUE, cells)
        pose = whole(uniform[2], 0, 4 * inside**2)
        cell = pose // 4
        return Level(cells, (left + 1 + cell // inside) * size + 1 + cell % inside, pose % 4)

    def judge(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
        red_before, blue_before = (_is_open(before, colour) for colour in (RED, BLUE))
        red, blue = (_is_open(after, colour) for colour in (RED, BLUE))
        return blue & red_before, (blue & ~red_before) | (~blue & red & blue_before)

    limit = 20 * size**2 if max_steps is None else max_steps
    return world(shape, level, max_steps=limit, view=view, reward=reward, judge=judge)


def _is_open(state: State, colour: int) -> Array:
    return jnp.any(state.cells[:-2] == OPEN + 16 * colour)
