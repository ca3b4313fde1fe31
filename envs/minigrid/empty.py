"""Empty (MiniGrid): a room with the goal in the far corner.

Start: in the near corner, facing right; or uniform over the free cells and directions with `random_start`.
Walls hide nothing here. Limit: 4 * size^2 steps. The rest as in `world`.
"""

import jax
import jax.numpy as jnp

from jaxrl.envs.minigrid.levels import bordered, free_cells, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import square, world
from jaxrl.types import Environment, Key


def empty(
    size: int = 8,
    random_start: bool = False,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """A room of size x size cells, its walls included (MiniGrid's have 5, 6, 8 and 16)."""
    shape = square("minigrid_empty", size, 4)
    room = bordered(shape)
    starts = free_cells(room)

    def level(key: Key) -> Level:
        if not random_start:
            return Level(jnp.asarray(room), jnp.int32(size + 1), jnp.int32(0))
        pose = whole(jax.random.uniform(key), 0, 4 * starts.size)
        return Level(jnp.asarray(room), jnp.asarray(starts)[pose // 4], pose % 4)

    limit = 4 * size**2 if max_steps is None else max_steps
    return world(shape, level, max_steps=limit, view=view, reward=reward, see_through=True)
