"""Prioritised sweeping (Moore and Atkeson 1993; Sutton and Barto 2018, 8.4): what changed most is propagated first.

backup(s, a) = r(s, a) + discount * sum_s' p(s' | s, a) max_a' Q(s', a')        r and p: the means of all that was seen
priority     of a pair just tried: |backup(s, a) - Q(s, a)|
Q(s, a)     <- Q(s, a) + step * (backup(s, a) - Q(s, a))                        for the pairs of the highest priority
priority     of every pair then: at least discount * p(s' | s, a) |change of max_a' Q(s', a')|

There are `planning_steps` backups per step of a row. Priorities are a table: its largest entries are what a heap would
deal. A backup is exact for what is known, so the step may be 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.tabular import core, models
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Timestep, Transition


@core.extend
class Config(NamedTuple):
    planning_steps: int = 5
    lowest_priority: float = 1e-4  # what changes less is not propagated
    learning_rate: float = 1.0


class Memory(NamedTuple):
    model: models.Counts
    priorities: Array  # float [S, A]


def prioritised_sweeping(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table = core.shape("prioritised_sweeping", observation_space, action_space)

    def remember(timestep: Timestep) -> Memory:
        return Memory(models.no_counts(table, timestep), jnp.zeros(table))

    def sweep(_: Array, state: State, count: int) -> State:
        (model, priorities), discount = state.memory, state.config.discount
        before = models.worth(model, state.values)
        highest, entries = jax.lax.top_k(priorities.ravel(), min(count, priorities.size))
        at, chosen = (entries // table[1], entries % table[1]), highest > state.config.lowest_priority
        state = core.move(state, at, models.backup(model, at, before, discount) - state.values[at], chosen)[0]
        change = jnp.where(chosen, jnp.abs(models.worth(model, state.values) - before)[at[0]], 0)
        raised = discount * jnp.max(model.followed[at[0]] * change[:, None, None], 0) / jnp.maximum(model.tried, 1)
        left = priorities.at[at].set(jnp.where(chosen, 0, highest))
        return state._replace(memory=Memory(model, jnp.maximum(left, raised)))

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        model, pair = models.count(state.memory.model, t), (t.obs.features, t.action)
        backup = models.backup(model, pair, models.worth(model, state.values), state.config.discount)
        error = jnp.abs(backup - state.values[pair])
        priorities = state.memory.priorities.at[pair].max(jnp.where(t.valid, error, 0))
        state = state._replace(memory=Memory(model, priorities))
        state = jax.lax.fori_loop(0, config.planning_steps, lambda i, s: sweep(i, s, t.reward.size), state)
        return state, Mean.of(error, t.valid)

    return core.tabular(table, action_space, config, core.exploring(config), update, remember)
