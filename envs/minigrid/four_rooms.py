"""FourRooms (MiniGrid): find the goal in one of four rooms that gaps in the walls connect.

Start: each of the four walls with a gap at a random place; the agent, its direction and the goal uniform over the free
cells. Limit: 100 steps. The rest as in `world`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import EMPTY, GREEN_GOAL, GREY_WALL
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, free_cells, skip, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import world
from jaxrl.types import Environment, Key

SIZE, MIDDLE = 19, 9


def four_rooms(view: str = "egocentric", reward: str = "minigrid", max_steps: int = 100) -> Environment:
    """Four rooms of 8 x 8 cells."""
    shape = (SIZE, SIZE)
    x, y = columns_and_rows(shape)
    rooms = np.where((x == MIDDLE) | (y == MIDDLE), GREY_WALL, bordered(shape, goal=False))
    free, cells = free_cells(rooms), np.arange(SIZE * SIZE)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (7,))
        near, far = whole(uniform[:2], 1, MIDDLE), whole(uniform[2:4], MIDDLE + 1, SIZE - 1)
        gaps = jnp.stack(
            [MIDDLE * SIZE + near[0], MIDDLE * SIZE + far[0], near[1] * SIZE + MIDDLE, far[1] * SIZE + MIDDLE]
        )
        places = jnp.concatenate([jnp.asarray(free), gaps])
        agent = whole(uniform[4], 0, places.size)
        goal = places[skip(whole(uniform[5], 0, places.size - 1), agent)]
        opened = jnp.where(jnp.any(cells == gaps[:, None], 0), EMPTY, rooms)
        return Level(jnp.where(cells == goal, GREEN_GOAL, opened), places[agent], whole(uniform[6], 0, 4))

    return world(shape, level, max_steps=max_steps, view=view, reward=reward)
