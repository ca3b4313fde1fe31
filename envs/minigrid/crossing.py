"""LavaCrossing and SimpleCrossing (MiniGrid): cross rivers of lava, or walls, each through its one opening.

Start: in the near corner, facing right. The rivers are a random choice of the even columns and rows; a random order of
crossing them says in which room each opening is, at a random place. Limit: 4 * size^2 steps. Stepping into lava ends
the episode with reward 0. The rest as in `world`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import EMPTY
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, obstacles, ranks, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import square, world
from jaxrl.errors import UsageError
from jaxrl.types import Array, Environment, Key


def lava_crossing(
    size: int = 9,
    num_crossings: int = 1,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """Rivers of lava; MiniGrid's have (size, num_crossings) (9, 1), (9, 2), (9, 3) and (11, 5)."""
    return _crossing("lava", size, num_crossings, view, reward, max_steps)


def simple_crossing(
    size: int = 9,
    num_crossings: int = 1,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """The same with walls for rivers."""
    return _crossing("wall", size, num_crossings, view, reward, max_steps)


def _crossing(
    obstacle: str, size: int, num_crossings: int, view: str, reward: str, max_steps: int | None
) -> Environment:
    shape, line = square("crossing", size, 5), obstacles(obstacle)
    if size % 2 == 0:
        raise UsageError(f"size is {size}: expected an odd number, so that rivers lie between rooms")
    lanes = np.arange(2, size - 2, 2)  # where rivers can be, in either direction
    if not 1 <= num_crossings <= 2 * lanes.size:
        raise UsageError(f"num_crossings is {num_crossings}: expected from 1 to {2 * lanes.size} in size {size}")
    room, (x, y) = bordered(shape), columns_and_rows(shape)
    interior = (x > 0) & (x < size - 1) & (y > 0) & (y < size - 1)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (2 * lanes.size + 2 * num_crossings,))
        river = ranks(uniform[: 2 * lanes.size]) < num_crossings
        upright, level_ones = _limits(river[: lanes.size]), _limits(river[lanes.size :])
        order, along = jnp.split(uniform[2 * lanes.size :], 2)
        across = ranks(order) < jnp.sum(river[: lanes.size])  # which steps of the way cross an upright river
        i, j = (jnp.cumsum(each) - each for each in (across.astype(jnp.int32), (~across).astype(jnp.int32)))
        low, high = (jnp.where(across, level_ones[j + n], upright[i + n]) for n in (0, 1))
        place = whole(along, low + 1, high)
        opening = jnp.where(across, upright[i + 1] * size + place, place * size + level_ones[j + 1])
        flooded = interior & (_any(x, upright) | _any(y, level_ones))
        opened = _any(x * size + y, opening)
        return Level(jnp.where(opened, EMPTY, jnp.where(flooded, line, room)), jnp.int32(size + 1), jnp.int32(0))

    def _limits(chosen: Array) -> Array:
        """int32 [n + 2]: 0, the chosen lanes in order, then the far wall as often as needed."""
        place = jnp.where(chosen, jnp.cumsum(chosen), lanes.size + 1)
        slots = jnp.full(lanes.size + 2, size - 1, jnp.int32).at[0].set(0)
        return slots.at[place].set(jnp.where(chosen, lanes, size - 1).astype(jnp.int32))

    limit = 4 * size**2 if max_steps is None else max_steps
    return world(shape, level, max_steps=limit, view=view, reward=reward)


def _any(cells: np.ndarray, values: Array) -> Array:
    """bool [n]: the number of the cell is one of the values."""
    return jnp.any(jnp.asarray(cells) == values[:, None], 0)
