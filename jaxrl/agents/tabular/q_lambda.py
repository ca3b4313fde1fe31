"""Watkins' Q(lambda) with eligibility traces e (Watkins 1989; Sutton and Barto 2018, section 12.10).

delta = r_t + discount * max_a Q(s_{t+1}, a) - Q(s_t, a_t)
e     <- discount * trace_decay * e, or 0 where a_t is not a best action; 1 is added (or in its place) at (s_t, a_t)
Q     <- Q + step * delta * e
"""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl import trees
from jaxrl.agents.tabular import core, traces
from jaxrl.agents.tabular.core import State
from jaxrl.distributions import masked
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Observation, Transition


@core.extend
class Config(NamedTuple):
    trace_decay: float = 0.9  # lambda
    traces: str = "accumulating"  # or "replacing"


def q_lambda(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table = core.shape("q_lambda", observation_space, action_space)

    def best(state: State, obs: Observation) -> Array:
        return masked(state.values[obs.features], obs.legal).max(-1)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        index = (t.obs.features, t.action)
        greedy = state.values[index] >= best(state, t.obs)
        kept = trees.where(greedy, state.memory, jnp.zeros_like(state.memory))
        return traces.one_step(state, kept, t, index, best(state, t.next_obs), config.traces)

    begin = functools.partial(traces.begin, table, config.traces)
    return core.tabular(table, action_space, config, core.exploring(config), update, begin)
