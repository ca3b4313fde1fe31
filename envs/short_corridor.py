"""The short corridor with switched actions (Sutton & Barto 2018, example 13.1): the best policy is a random one.

Three states in a row and the goal to their right. They all look alike, and in the second one the actions are switched.
Whoever goes right with probability p is worth -(4 - 2 p) / (p (1 - p)) at the start: most, -(6 + 4 sqrt(2)) = -11.66,
with p = 2 - sqrt(2) = 0.586.

Observation: int32 [], always 0.
Action: int32 [], 0 left, 1 right; switched in the second state. The left end holds the agent.
Reward: -1 per step.
Termination: on the goal. Limit: none in the book, `max_steps` where one is wanted.
Start: the left end. Measures: success, 1 on the goal.
"""

import numpy as np

from jaxrl.envs import render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.types import Environment


def short_corridor(max_steps: int | None = None) -> Environment:
    """States: 0, 1 (switched) and 2 from left to right, 3 the goal."""
    next_state = np.array([[0, 1], [2, 0], [1, 3], [3, 3]])[..., None]
    state, goal = np.arange(4), 3
    reward = np.where(state == goal, 0.0, -1.0)[:, None, None]
    model = tables(np.ones(1), next_state, reward, next_state == goal, state == 0)
    looks = render.LOOKS | {"x": ("orange", "block")}
    picture = render.on_map(np.array([list("Sx.G")]), looks, [(state, render.AGENT)])
    return tabular(model, max_steps, np.zeros(4, int), measures={"success": state == goal})._replace(render=picture)
