"""Windy gridworld (Sutton & Barto 2018, example 6.5; king's moves and stochastic wind: exercises 6.9 and 6.10).

The map has 7 x 10 cells. The wind of the column that the agent leaves carries it up by 0, 0, 0, 1, 1, 1, 2, 2, 1
or 0 cells.

Observation: int32 [], the agent's cell, row * 10 + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left; with the king's moves also 4 up right, 5 down right, 6 down left,
    7 up left; with `king_and_stay` also 8 stay. The edge of the map holds the agent.
Reward: -1 per step.
Termination: on the goal (3, 7). Limit: none in the book, `max_steps` where one is wanted.
Start: (3, 0). Measures: success, 1 on the goal.
"""

import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import unknown
from jaxrl.types import Environment

WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
KING = (*grid.FOUR, (-1, 1), (1, 1), (1, -1), (-1, -1))
MOVES = {"four": grid.FOUR, "king": KING, "king_and_stay": (*KING, (0, 0))}


def windy_gridworld(moves: str = "four", stochastic: bool = False, max_steps: int | None = None) -> Environment:
    """moves: "four", "king" or "king_and_stay".

    Stochastic wind is, where there is any, one weaker, as told, or one stronger, with probability 1/3 each.
    """
    if moves not in MOVES:
        raise unknown("moves", moves, MOVES)
    height, width = 7, len(WIND)
    start, goal = 3 * width, 3 * width + 7
    row, column = np.indices((height, width)).reshape(2, -1, 1, 1)
    down, right = np.array(MOVES[moves]).T[:, :, None]  # [A, 1]
    wind, gust = np.array(WIND)[column], np.array([-1, 0, 1] if stochastic else [0])
    risen = np.clip(row + down - np.where(wind > 0, wind + gust, 0), 0, height - 1)
    cell, cells = risen * width + np.clip(column + right, 0, width - 1), np.arange(height * width)
    model = tables(np.full(gust.size, 1 / gust.size), cell, -1.0, cell == goal, cells == start)
    letters = np.tile(np.array(WIND).astype(str), (height, 1))
    letters.flat[[start, goal]] = "S", "G"
    looks = {"0": ("white", "block"), "1": ("ice", "block"), "2": ("cyan", "block")}
    picture = render.on_map(letters, render.LOOKS | looks, [(cells, render.AGENT)])
    return tabular(model, max_steps, measures={"success": cells == goal})._replace(render=picture)
