"""The random walk of n states, for prediction: there is nothing to choose (Sutton & Barto 2018).

Example 6.2: 5 states, ends worth 0 and 1, so that state i of 1 .. 5 is worth i / 6. Example 7.1: 19 states, ends worth
-1 and 1, so that state i is worth i / 10 - 1. Example 9.1: 1000 states and steps of up to 100 states.

Observation: int32 [], the state: 1 .. n from left to right, 0 and n + 1 the ends; or, `one_hot`, float [n], zero at
    the ends.
Action: one. The walk goes to each of the `jump` states on either side with equal probability; those that lie beyond
    an end are the end.
Reward: `left_reward` or `right_reward` for the step to that end, else 0.
Termination: at either end.
Start: the middle state, (n + 1) // 2. Measures: right, 1 at the right end.
"""

import numpy as np

from jaxrl.envs import render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least, unknown
from jaxrl.types import Environment

OBSERVATIONS = ("index", "one_hot")


def random_walk(
    num_states: int = 5,
    left_reward: float = 0.0,
    right_reward: float = 1.0,
    jump: int = 1,
    observation: str = "index",
    max_steps: int | None = None,
) -> Environment:
    """n = num_states; observation: "index" or "one_hot"."""
    at_least("num_states", num_states, 1)
    at_least("jump", jump, 1)
    if observation not in OBSERVATIONS:
        raise unknown("observation", observation, OBSERVATIONS)
    state, last = np.arange(num_states + 2)[:, None, None], num_states + 1
    moves = np.delete(np.arange(-jump, jump + 1), jump)
    ended = (state == 0) | (state == last)
    reached = np.where(ended, state, np.clip(state + moves, 0, last))
    reward = np.where(reached == 0, left_reward, np.where(reached == last, right_reward, 0.0))
    model = tables(
        probability=np.full(moves.size, 1 / moves.size),
        next_state=reached,
        reward=np.where(ended, 0.0, reward),
        terminated=(reached == 0) | (reached == last),
        start=state[:, 0, 0] == last // 2,
    )
    one_hot = np.eye(last + 1)[:, 1:-1] if observation == "one_hot" else None
    states, letters = state.ravel(), np.array([["L", *"." * num_states, "G"]])
    picture = render.on_map(letters, render.LOOKS | {"L": ("red", "block")}, [(states, render.AGENT)])
    return tabular(model, max_steps, one_hot, measures={"right": states == last})._replace(render=picture)
