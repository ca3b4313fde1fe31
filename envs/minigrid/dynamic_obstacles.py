"""DynamicObstacles (MiniGrid): get to the goal among balls that wander about.

Action: int32 [], 0 turn left, 1 turn right, 2 forward. Before the agent each ball in turn moves to a random free one of
the cells around it (it stays if there is none); moves forward count by what was in front before the balls moved.
Reward: as in `world`, and -1 for walking into a ball or a wall. Termination: with either. Limit: 4 * size^2 steps.
Start: in the near corner, facing right, or anywhere with `random_start`; the balls on random free cells. Walls hide
nothing here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid import rules
from jaxrl.envs.minigrid.cells import BALL, BLUE, EMPTY, GOAL
from jaxrl.envs.minigrid.levels import bordered, free_cells, pick, whole
from jaxrl.envs.minigrid.rules import FORWARD, Level, State, read, write
from jaxrl.envs.minigrid.world import square, world
from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Discrete
from jaxrl.types import Array, Environment, Key

BLUE_BALL = BALL + 16 * BLUE


def dynamic_obstacles(
    size: int = 8,
    num_obstacles: int = 4,
    random_start: bool = False,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """A room of size x size cells (MiniGrid's have 5, 6, 8, 16 with 2, 3, 4, 8 balls; more than size / 2 + 1 balls are
    brought down to size / 2)."""
    shape = square("minigrid_dynamic_obstacles", size, 4)
    at_least("num_obstacles", num_obstacles, 1)
    balls = num_obstacles if num_obstacles <= size / 2 + 1 else size // 2
    room, slots = bordered(shape), np.arange(size * size)
    starts = free_cells(room)
    around = (np.arange(-1, 2)[:, None] * size + np.arange(-1, 2)).ravel().astype(np.int32)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (balls + 2,))
        agent = jnp.asarray(starts)[whole(uniform[0], 0, starts.size)] if random_start else jnp.int32(size + 1)
        direction = whole(uniform[1], 0, 4) if random_start else jnp.int32(0)
        cells, places = jnp.asarray(room), []
        for i in range(balls):
            places.append(pick(uniform[2 + i], (cells == EMPTY) & (slots != agent)))
            cells = jnp.where(slots == places[-1], BLUE_BALL, cells)
        return Level(cells, agent, direction, others=places)

    def wander(key: Key, state: State) -> State:
        """The state after every ball has moved, in the order of the state's list."""
        uniform, cells, places = jax.random.uniform(key, (balls,)), state.cells, []
        for i in range(balls):
            options = state.others[i] + around
            free = (read(cells, options) == EMPTY) & (options != state.position)
            stays, chosen = ~jnp.any(free), read(options, jnp.minimum(pick(uniform[i], free), 8))
            places.append(jnp.where(stays, state.others[i], chosen))
            cells = write(cells, state.others[i][None], jnp.uint8(EMPTY)[None])
            cells = write(cells, places[-1][None], jnp.uint8(BLUE_BALL)[None])
        return State(cells, state.sight, jnp.concatenate([state.numbers[:6], jnp.stack(places)]))

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Any, Array, Array]:
        front = read(state.cells, rules.ahead(state, size)) & 15
        hit = (action == FORWARD) & (front != EMPTY) & (front != GOAL)
        after, obs, earned, terminated = env.step(key, wander(key, state), action, params)
        return after, obs, jnp.where(hit, jnp.float32(-1), earned), terminated | hit

    if balls >= starts.size - 1:
        raise UsageError(f"size is {size}: expected a room with free cells beside {balls} balls and the agent")
    limit = 4 * size**2 if max_steps is None else max_steps
    env = world(shape, level, max_steps=limit, view=view, reward=reward, see_through=True)
    return env._replace(step=step, action_space=Discrete(3))
