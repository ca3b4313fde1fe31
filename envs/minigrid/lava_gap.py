"""LavaGap (MiniGrid): get to the goal through the one gap in a line of lava.

Start: in the near corner, facing right; the line in a random column, the gap in a random row. With `obstacle` "wall"
the line is a wall. Limit: 4 * size^2 steps. Stepping into lava ends the episode with reward 0. The rest as in `world`.
"""

import jax
import jax.numpy as jnp

from jaxrl.envs.minigrid.cells import EMPTY
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, obstacles, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import square, world
from jaxrl.types import Environment, Key


def lava_gap(
    size: int = 7,
    obstacle: str = "lava",
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """A room of size x size cells, its walls included (MiniGrid's have 5, 6 and 7)."""
    shape, line = square("minigrid_lava_gap", size, 5), obstacles(obstacle)
    room, (x, y) = bordered(shape), columns_and_rows(shape)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (2,))
        column, gap = whole(uniform[0], 2, size - 2), whole(uniform[1], 1, size - 1)
        inside = (x == column) & (y > 0) & (y < size - 1)
        return Level(jnp.where(inside, jnp.where(y == gap, EMPTY, line), room), jnp.int32(size + 1), jnp.int32(0))

    limit = 4 * size**2 if max_steps is None else max_steps
    return world(shape, level, max_steps=limit, view=view, reward=reward)
