"""GridWorld from a text map.

Observation: int32 [], the agent's cell, row * width + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left.
Reward: `goal_reward` for the step onto a goal, `obstacle_reward` for walking into an obstacle (the agent stays where
    it is), `step_reward` for every other step, also for one against the edge of the map (the agent stays).
Termination: on a goal. Limit: `max_steps`.
Start: uniform over the cells S. Measures: success, 1 on a goal.
Map: S start, G goal, # obstacle, . free.
"""

import numpy as np

from jaxrl.envs import grid
from jaxrl.envs.tabular import tables, tabular
from jaxrl.types import Environment

FOUR_BY_FOUR = "S.../.#../..#./...G"
LETTERS = {"S": "start", "G": "goal", "#": "obstacle", ".": "free"}


def gridworld(
    layout: str = FOUR_BY_FOUR,
    step_reward: float = -0.1,
    goal_reward: float = 10.0,
    obstacle_reward: float = -2.0,
    max_steps: int | None = 100,
) -> Environment:
    """A map of any size; by default 4x4 with the goal in the far corner and obstacles at (1, 1) and (2, 2)."""
    letters = grid.parse(layout, LETTERS, required="SG")
    reached = grid.neighbours(letters.shape, (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT))
    cells, letters = np.arange(letters.size)[:, None], letters.ravel()
    blocked, goal, inside = letters[reached] == "#", letters[reached] == "G", letters[cells] == "G"
    reward = np.where(blocked, obstacle_reward, np.where(goal, goal_reward, step_reward))
    model = tables(
        probability=np.ones((1, 1, 1)),
        next_state=np.where(blocked | inside, cells, reached)[..., None],
        reward=np.where(inside, 0.0, reward)[..., None],  # a goal is absorbing
        terminated=(goal | inside)[..., None],
        start=letters == "S",
    )
    return tabular(model, max_steps, measures={"success": letters == "G"})
