"""Monte Carlo control (Sutton and Barto 2018, chapter 5), of every visit or the first one of an episode.

Q(s, a) <- Q(s, a) + step * (G - Q(s, a))    for each visit, G the discounted return from there, at the episode's end

Returns grow as rewards come, in a table per row: no episode is too long, and memory is three times rows times entries.
Where an episode was cut, its return goes on with the expected value of what it reached. With a fixed exploration it
learns the values of that policy; as exploration dies out, the optimal ones.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl import trees
from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.errors import unknown
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Timestep, Transition


@core.extend
class Config(NamedTuple):
    visits: str = "first"  # of an episode, or "every" one
    learning_rate: float = 1.0
    learning_rate_decay: float = 1.0  # 1: the mean of all returns, the initial value being one of them


class Episode(NamedTuple):
    """Tables [N, S, A] of the episode so far."""

    visits: Array  # float, those that are learnt from
    weight: Array  # of the next reward in their returns
    total: Array  # of their returns


def monte_carlo(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    if config.visits not in ("first", "every"):
        raise unknown("visits", config.visits, ("first", "every"))
    table, policy = core.shape("monte_carlo", observation_space, action_space), core.exploring(config)

    def remember(timestep: Timestep) -> Episode:
        return Episode(*[jnp.zeros((*timestep.reward.shape, *table))] * 3)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        (visits, weight, total), discount = state.memory, state.config.discount
        here = (jnp.arange(len(visits)), t.obs.features, t.action)
        new = (t.valid if config.visits == "every" else t.valid & (visits[here] == 0)).astype(visits.dtype)
        visits, weight = visits.at[here].add(new), (discount * weight).at[here].add(new)
        rest = jnp.where(t.truncated & ~t.terminated, core.expected(policy, state, t.next_obs), 0)
        total = total + weight * (t.reward + discount * rest)[:, None, None]
        counts, totals = (jnp.tensordot(t.ended.astype(x.dtype), x, 1) for x in (visits, total))
        errors, zero = totals - counts * state.values, jnp.zeros_like(visits)
        memory = trees.where(t.valid & ~t.ended, Episode(visits, weight, total), Episode(zero, zero, zero))
        state = core.combine(state._replace(memory=memory), errors, counts)
        return state, Mean(jnp.abs(errors).sum(), counts.sum())

    return core.tabular(table, action_space, config, policy, update, remember)
