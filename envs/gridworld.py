"""GridWorld from a text map.

Observation: int32 [], the agent's cell, row * width + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left.
Reward: `goal_reward` for the step onto a goal, `obstacle_reward` for walking into an obstacle (the agent stays where
    it is), `step_reward` for every other step, also for one against the edge of the map (the agent stays).
Termination: on a goal. Limit: `max_steps`.
Start: uniform over the cells S. Measures: success, 1 on a goal.
Map: S start, G goal, # obstacle, . free.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import UsageError
from jaxrl.types import Array, Environment, Model

FOUR_BY_FOUR = "S.../.#../..#./...G"
LETTERS = {"S": "start", "G": "goal", "#": "obstacle", ".": "free"}
ACTION_MEANINGS = ("UP", "RIGHT", "DOWN", "LEFT")


def gridworld(
    layout: str = FOUR_BY_FOUR,
    step_reward: float = -0.1,
    goal_reward: float = 10.0,
    obstacle_reward: float = -2.0,
    max_steps: int | None = 100,
) -> Environment:
    """A map of any size; by default 4x4 with the goal in the far corner and obstacles at (1, 1) and (2, 2)."""
    letters = grid.parse(layout, LETTERS, required="SG")
    model = rules(letters, step_reward, goal_reward, obstacle_reward)
    env = tabular(model, max_steps, measures={"success": letters.ravel() == "G"})
    return env._replace(render=picture(letters))


def rules(letters: np.ndarray, step_reward: float, goal_reward: float, obstacle_reward: float) -> Model:
    """The model of a map letters [H, W]."""
    reached = grid.neighbours(letters.shape, grid.FOUR)
    cells, letters = np.arange(letters.size)[:, None], letters.ravel()
    blocked, goal, inside = letters[reached] == "#", letters[reached] == "G", letters[cells] == "G"
    reward = np.where(blocked, obstacle_reward, np.where(goal, goal_reward, step_reward))
    return tables(
        probability=np.ones((1, 1, 1)),
        next_state=np.where(blocked | inside, cells, reached)[..., None],
        reward=np.where(inside, 0.0, reward)[..., None],  # a goal is absorbing
        terminated=(goal | inside)[..., None],
        start=letters == "S",
    )


def picture(letters: np.ndarray) -> Callable[[Array, Any], Array]:
    """`render` of a map letters [H, W] whose states are its cells."""
    return render.on_map(letters, render.LOOKS, [(np.arange(letters.size), render.AGENT)])


def valid_actions(env: Environment, state: int) -> list[int]:
    """The actions that lead from a cell to another one: not into an obstacle or the map's edge, and none on a goal."""
    if env.model is None:
        raise UsageError("valid actions are read from the model of a world: this one has none")
    next_state = env.model(env.params).next_state[state]  # [A, K]
    return np.flatnonzero((next_state != state).any(-1)).tolist()
