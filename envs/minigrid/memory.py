"""Memory (MiniGrid): remember the object in the start room, and go to its like at the end of a hallway.

Action: as in `world`, but picking up toggles. Reward for success when the agent stands beside the matching object;
beside the other one the episode ends with 0. Limit: 5 * size^2 steps.
Start: the agent at a random place of the hallway and its start room, facing right; a green key or ball in the start
room, one of each at the end in random order; the hallway of random length with `random_length`.
"""

import jax
import jax.numpy as jnp

from jaxrl.envs.minigrid.cells import BALL, GREEN, GREY_WALL, KEY
from jaxrl.envs.minigrid.levels import bordered, columns_and_rows, whole
from jaxrl.envs.minigrid.rules import PICKUP, TOGGLE, Level, State
from jaxrl.envs.minigrid.world import square, world
from jaxrl.errors import UsageError
from jaxrl.types import Array, Environment, Key


def memory(
    size: int = 13,
    random_length: bool = False,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """A map of odd size (MiniGrid's have 7, 9, 11 and 13, and with random lengths 13 and 17)."""
    shape, middle = square("minigrid_memory", size, 7), size // 2
    if size % 2 == 0:
        raise UsageError(f"size is {size}: expected an odd number, so that the hallway lies in the middle")
    room, (x, y) = bordered(shape, goal=False), columns_and_rows(shape)
    aside = abs(y - middle)
    start_room = ((aside == 2) & (x <= 4)) | ((aside == 1) & (x == 4))

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (4,))
        end = whole(uniform[0], 4, size - 2) if random_length else jnp.int32(size - 3)
        ball, swapped = uniform[1] < 0.5, uniform[2] < 0.5
        hallway = (aside == 1) & (x >= 5) & (x < end)
        wall = start_room | hallway | ((x == end) & (aside > 0)) | (x == end + 2)
        cells = jnp.where(wall, GREY_WALL, room)
        cells = jnp.where((x == 1) & (y == middle - 1), jnp.where(ball, BALL, KEY) + 16 * GREEN, cells)
        upper, lower = (jnp.where(each, BALL, KEY) + 16 * GREEN for each in (swapped, ~swapped))
        cells = jnp.where((x == end + 1) & (aside == 2), jnp.where(y < middle, upper, lower), cells)
        agent = whole(uniform[3], 1, end + 1) * size + middle
        return Level(cells, agent, jnp.int32(0), (end + 1) * size + middle + jnp.where(ball == swapped, -1, 1))

    def judge(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
        other = after.target + jnp.where(after.target % size < middle, 2, -2)
        return after.position == after.target, after.position == other

    limit = 5 * size**2 if max_steps is None else max_steps
    env = world(shape, level, max_steps=limit, view=view, reward=reward, judge=judge)
    return env._replace(
        step=lambda key, state, action, params: env.step(
            key, state, jnp.where(action == PICKUP, TOGGLE, action), params
        )
    )
