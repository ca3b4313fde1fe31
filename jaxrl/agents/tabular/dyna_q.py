"""Dyna-Q and Dyna-Q+ (Sutton 1990; Sutton and Barto 2018, 8.2 and 8.3): Q-learning, also from a model of the world.

M(s, a) <- r, s'                         for every step, from which Q(s, a) is learnt as well
Q(s, a) <- Q(s, a) + step * (r + time_bonus * sqrt(tau) + discount * max_a' Q(s', a') - Q(s, a)),    r, s' = M(s, a)

The second line is for `planning_steps` pairs, drawn among those known, per step of a row; tau are the steps since the
pair was last tried. Dyna-Q+ has the bonus, and plans with all actions of states that it has seen: one that was not
tried stays where it is, for a reward of 0. The model keeps the last outcome of a pair. In a world of chance that is
another one after each visit, and a step that decays averages over them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.tabular import core, models
from jaxrl.agents.tabular.core import State
from jaxrl.distributions import masked
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Transition


@core.extend
class Config(NamedTuple):
    planning_steps: int = 10
    plan_untried: bool = False  # Dyna-Q+
    time_bonus: float = 0.0  # kappa of Dyna-Q+


def dyna_q(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table = core.shape("dyna_q", observation_space, action_space)

    def learn_from(state: State, t: Transition) -> tuple[State, Mean]:
        return core.one_step(state, t, masked(state.values[t.next_obs.features], t.next_obs.legal).max(-1))

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        model = models.last_outcomes(state.memory, t)
        state, error = learn_from(state._replace(memory=model), t)
        reached = jnp.cumsum(models.known(model, config.plan_untried).ravel(), dtype=jnp.int32)
        draws = jax.random.randint(key, (config.planning_steps, t.reward.size), 0, jnp.maximum(reached[-1], 1))
        pairs = jnp.minimum(jnp.searchsorted(reached, draws, side="right"), reached.size - 1).astype(jnp.int32)

        def plan(state: State, pair: Array) -> tuple[State, None]:
            at = pair // table[1], pair % table[1]
            t_model = models.imagined(model, at, t)
            bonus = state.config.time_bonus * jnp.sqrt((model.time - model.tried[at]).astype(jnp.float32))
            valid = jnp.broadcast_to(reached[-1] > 0, t.valid.shape)
            return learn_from(state, t_model._replace(reward=t_model.reward + bonus, valid=valid))[0], None

        return jax.lax.scan(plan, state, pairs)[0], error

    return core.tabular(
        table, action_space, config, core.exploring(config), update, lambda t: models.no_outcomes(table, t)
    )
