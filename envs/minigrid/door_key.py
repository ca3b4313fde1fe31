"""DoorKey (MiniGrid): fetch the key, open the locked door in the wall, and get to the goal behind it.

Start: the wall in a random column, the door in a random row but the last one, the agent and the key on random cells to
the left of the wall. Limit: 10 * size^2 steps. The rest as in `world`.
"""

import jax
import jax.numpy as jnp

from jaxrl.envs.minigrid.cells import GREY_WALL, KEY, LOCKED, YELLOW
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, skip, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import square, world
from jaxrl.types import Environment, Key


def door_key(
    size: int = 8, view: str = "egocentric", reward: str = "minigrid", max_steps: int | None = None
) -> Environment:
    """A room of size x size cells, its walls included (MiniGrid's have 5, 6, 8 and 16)."""
    shape = square("minigrid_door_key", size, 5)
    room, (x, y), inside = bordered(shape), columns_and_rows(shape), size - 2

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (5,))
        split, door = whole(uniform[0], 2, size - 2), whole(uniform[1], 1, size - 2)
        left = inside * (split - 1)  # free cells to the left of the wall, column by column
        agent = whole(uniform[2], 0, left)
        lost_key = skip(whole(uniform[3], 0, left - 1), agent)
        start, place = ((1 + n // inside) * size + 1 + n % inside for n in (agent, lost_key))
        wall = jnp.where(y == door, LOCKED + 16 * YELLOW, GREY_WALL)
        cells = jnp.where(x == split, wall, jnp.where(x * size + y == place, KEY + 16 * YELLOW, room))
        return Level(cells, start, whole(uniform[4], 0, 4))

    limit = 10 * size**2 if max_steps is None else max_steps
    return world(shape, level, max_steps=limit, view=view, reward=reward)
