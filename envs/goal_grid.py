"""A grid with another goal in every episode, which the observation tells.

Observation, over the F cells that are no wall: features float [F], one-hot, the agent's cell; goal float [F], one-hot,
    the cell to reach; achieved float [F], the features.
Action: int32 [], 0 up, 1 right, 2 down, 3 left; walls and the edge of the map hold the agent.
Reward: `goal_reward` for the step onto the goal, else `step_reward`; by default 0 and -1 (`goals.outcome`).
Termination: on the goal. Limit: `max_steps`.
Start: uniform over all pairs of two different cells. Measures: success, 1 on the goal.
Map: # wall, . free.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import goals, grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import UsageError, at_least, within
from jaxrl.spaces import Box
from jaxrl.types import Array, Environment, Key, Model, Observation

LAYOUT = "......../..##..../.....#../.#...#../.#....../...##.../......#./........"
LETTERS = {"#": "wall", ".": "free cell"}


class State(NamedTuple):
    cell: Array  # int32 [] the agent's, row * width + column
    goal: Array  # int32 []


def goal_grid(
    layout: str = LAYOUT,
    success_rate: float = 1.0,
    step_reward: float = -1.0,
    goal_reward: float = 0.0,
    max_steps: int | None = 50,
) -> Environment:
    """A map of any size; a move goes as meant with `success_rate`, else to any other side.

    The model counts states as goal * H * W + cell.
    """
    within("success_rate", success_rate, 0, 1)
    at_least("max_steps", max_steps, 1)
    letters = grid.parse(layout, LETTERS, required=".")
    free = np.flatnonzero(letters == ".").astype(np.int32)
    if free.size < 2:
        raise UsageError("the map has one free cell: expected at least two, one to start from and one to reach")
    probability, reached = grid.strays(grid.walled(letters, grid.FOUR), success_rate)
    walk = tabular(tables(probability, reached, 0.0, False, letters.ravel() == "."))

    def observe(state: State) -> Observation:
        return goals.observe(free == state.cell, free == state.goal)

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        pair = jax.random.randint(key, (), 0, free.size * (free.size - 1))
        start, other = jnp.divmod(pair, free.size - 1)
        state = State(*jnp.asarray(free)[jnp.stack([start, other + (other >= start)])])
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        state = State(walk.step(key, state.cell, action, ())[0], state.goal)
        return state, observe(state), *outcome(free == state.cell, free == state.goal)

    outcome = functools.partial(goals.outcome, step_reward=step_reward, goal_reward=goal_reward)
    picture = render.scene(letters, render.LOOKS, [("green", "block"), render.AGENT])
    return walk._replace(
        reset=reset,
        step=step,
        observation_space=Box(0.0, 1.0, (free.size,)),
        max_steps=max_steps,
        measure=lambda state, params: {"success": (state.cell == state.goal).astype(jnp.float32)},
        model=lambda params: _model(letters, probability, reached, step_reward, goal_reward),
        render=lambda state, params: picture(state.goal, state.cell),
        hindsight=outcome,
    )


def _model(
    letters: np.ndarray, probability: np.ndarray, reached: np.ndarray, step_reward: float, goal_reward: float
) -> Model:
    free, goal = letters.ravel() == ".", np.arange(letters.size)[:, None, None, None]
    shape = (letters.size**2, *reached.shape[1:])
    found, next_state = (reached == goal).reshape(shape), (goal * letters.size + reached).reshape(shape)
    starts = free[:, None] & free & ~np.eye(letters.size, dtype=bool)
    return tables(probability, next_state, np.where(found, goal_reward, step_reward), found, starts.ravel())
