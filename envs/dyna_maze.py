"""The Dyna maze (Sutton & Barto 2018, figure 8.2, and enlarged as in example 8.4).

The map has 6 x 9 cells; the shortest way takes 14 steps.

Observation: int32 [], the agent's cell, row * width + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left; walls and the edge of the map hold the agent.
Reward: 1 for the step onto a goal, else 0.
Termination: on a goal. Limit: none in the book, `max_steps` where one is wanted.
Start: (2, 0). Measures: success, 1 on a goal.
"""

import numpy as np

from jaxrl.envs import grid
from jaxrl.envs.gridworld import LETTERS, gridworld
from jaxrl.errors import at_least
from jaxrl.types import Environment

LAYOUT = ".......#G/..#....#./S.#....#./..#....../.....#.../........."


def dyna_maze(resolution: int = 1, max_steps: int | None = None) -> Environment:
    """With a resolution of n every cell becomes n x n cells, of which the start keeps the upper left one."""
    at_least("resolution", resolution, 1)
    letters = grid.parse(LAYOUT, LETTERS, required="SG")
    fine = letters.repeat(resolution, 0).repeat(resolution, 1)
    fine[fine == "S"] = "."
    fine[tuple(np.argwhere(letters == "S")[0] * resolution)] = "S"
    return gridworld("/".join("".join(row) for row in fine), 0.0, 1.0, 0.0, max_steps)
