"""Maximisation bias (Sutton & Barto 2018, example 6.7): the worse way looks better, since it has more tickets.

From A, right ends the episode with reward 0; left leads to B, where each of many actions ends it with a random reward
that is negative in the mean. Whoever takes the largest of its estimates for their true value goes left.

Observation: int32 [], 0 A, 1 B, 2 the end to the right, 3 the end behind B.
Action: int32 []. Of A, 0 left and 1 right (the only legal ones); of B, all alike.
Reward: 0 for leaving A; for leaving B, normal with mean `mean_reward` and deviation 1.
Termination: at either end. Measures: left, 1 in B and behind it.
The rewards are a continuum, so that there is no `model`; the best return is 0, and left is worth `mean_reward`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least
from jaxrl.types import Array, Environment, Key


def maximisation_bias(num_actions: int = 14, mean_reward: float = -0.1) -> Environment:
    """num_actions: of B. The book does not say how many; with 14 the curves end where its figure has them."""
    at_least("num_actions", num_actions, 2)
    state, action = np.arange(4)[:, None, None], np.arange(num_actions)[None, :, None]
    next_state = np.where(state == 0, np.where(action == 0, 1, 2), np.where(state == 1, 3, state))
    means = tables(
        probability=np.ones(1),
        next_state=next_state,
        reward=np.where(state == 1, mean_reward, 0.0),
        terminated=next_state >= 2,
        start=state.ravel() == 0,
    )
    legal = (np.arange(4)[:, None] > 0) | (np.arange(num_actions) < 2)
    places, looks = np.array([2, 1, 3, 0]), render.LOOKS | {"L": ("red", "block")}
    picture = render.on_map(np.array([list("L.SG")]), looks, [(places, render.AGENT)])
    world = tabular(means, legal=legal, measures={"left": np.array([0, 1, 0, 1])})

    def step(key: Key, state: Array, action: Array, params: tuple[()]) -> tuple[Array, Array, Array, Array]:
        after, obs, reward, terminated = world.step(key, state, action, params)
        noise = jax.random.normal(jax.random.fold_in(key, 1), dtype=reward.dtype)
        return after, obs, reward + jnp.where(state == 1, noise, 0), terminated

    return world._replace(step=step, model=None, render=picture)
