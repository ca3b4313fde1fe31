"""Frozen lake (Gymnasium's `FrozenLake-v1`).

Observation: int32 [], the agent's cell, row * width + column.
Action: int32 [], 0 left, 1 down, 2 right, 3 up; the edge of the map holds the agent.
Reward: 1 for the step onto a goal, else 0.
Termination: on a goal or in a hole. Limit: 200 steps on an 8x8 map, 100 on any other.
Start: uniform over the cells S. Measures: success, 1 on a goal.
Map: S start, F frozen, H hole, G goal.
"""

import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import within
from jaxrl.types import Environment

LAYOUTS = {
    "4x4": "SFFF/FHFH/FFFH/HFFG",
    "8x8": "SFFFFFFF/FFFFFFFF/FFFHFFFF/FFFFFHFF/FFFHFFFF/FHHFFFHF/FHFFHFHF/FFFHFFFG",
}
LETTERS = {"S": "start", "F": "frozen", "H": "hole", "G": "goal"}


def frozen_lake(
    layout: str = "4x4", slippery: bool = False, success_rate: float = 1 / 3, max_steps: int | None = None
) -> Environment:
    """The 4x4 or 8x8 map or one's own; when slippery, a move goes astray to either side with 1 - success_rate.

    Without `max_steps` the limit is Gymnasium's.
    """
    within("success_rate", success_rate, 0, 1)
    letters = grid.parse(LAYOUTS.get(layout, layout), LETTERS, required="SG")
    limit = max_steps if max_steps is not None else 200 if letters.shape == (8, 8) else 100
    reached = grid.neighbours(letters.shape, (grid.LEFT, grid.DOWN, grid.RIGHT, grid.UP))
    probability, cell = grid.outcomes(reached, success_rate if slippery else None)
    looks = render.LOOKS | {"F": ("ice", "block"), "H": ("blue", "block")}
    picture = render.on_map(letters, looks, [(np.arange(letters.size), ("red", "disc"))])
    letters = letters.ravel()
    absorbing = np.isin(letters, ["H", "G"])
    stays = absorbing[:, None, None]
    model = tables(
        probability=probability,
        next_state=np.where(stays, np.arange(letters.size)[:, None, None], cell),
        reward=(letters[cell] == "G") & ~stays,
        terminated=absorbing[cell] | stays,
        start=letters == "S",
    )
    return tabular(model, limit, measures={"success": letters == "G"})._replace(render=picture)
