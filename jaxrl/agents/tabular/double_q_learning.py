"""Double Q-learning (van Hasselt 2010): a coin decides per row which of two tables X learns from the other, Y.

X(s, a) <- X(s, a) + step * (r + discount * Y(s', argmax_a' X(s', a')) - X(s, a))

So that no table judges the action that its own errors made it choose. It acts on the mean of both.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.distributions import masked
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Key, Transition


@core.extend
class Config(NamedTuple):
    """Nothing of its own."""


def double_q_learning(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table = (2, *core.shape("double_q_learning", observation_space, action_space))

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        own, following = jax.random.bernoulli(key, shape=t.action.shape).astype(jnp.int32), t.next_obs.features
        best = jnp.argmax(masked(state.values[own, following], t.next_obs.legal), -1)
        index = own, t.obs.features, t.action
        return core.one_step(state, t, state.values[1 - own, following, best], index)

    return core.tabular(table, action_space, config, core.exploring(config), update)
