"""Cliff walking (Sutton & Barto 2018, example 6.6; Gymnasium's `CliffWalking-v1`).

The map has 4 x 12 cells. The agent starts in the lower left corner, the goal is the lower right one, and the cells
between them are the cliff.

Observation: int32 [], the agent's cell, row * 12 + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left; the edge of the map holds the agent.
Reward: -1 per step; -100 for a step over the cliff, which puts the agent back to the start.
Termination: on the goal. Limit: none in Gymnasium, `max_steps` where one is wanted.
Measures: success, 1 on the goal.
"""

import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.types import Environment


def cliff_walking(slippery: bool = False, max_steps: int | None = None) -> Environment:
    """When slippery, a move comes out as meant or to either side, with probability 1/3 each."""
    height, width = 4, 12
    start, goal = (height - 1) * width, height * width - 1
    reached = grid.neighbours((height, width), (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT))
    probability, cell = grid.outcomes(reached, 1 / 3 if slippery else None)
    falls = (cell > start) & (cell < goal)
    cells = np.arange(height * width)
    model = tables(
        probability=probability,
        next_state=np.where(falls, start, cell),
        reward=np.where(falls, -100.0, -1.0),
        terminated=cell == goal,
        start=cells == start,
    )
    letters = np.full((height, width), ".")
    letters[-1] = ["S", *"C" * (width - 2), "G"]
    picture = render.on_map(letters, render.LOOKS | {"C": ("brown", "waves")}, [(cells, render.AGENT)])
    return tabular(model, max_steps, measures={"success": cells == goal})._replace(render=picture)
