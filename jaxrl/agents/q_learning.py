"""Tabular Q-learning (Watkins 1989), epsilon-greedy, with any number of rows that write one table.

    Q(s, a) <- Q(s, a) + step * (r + discount * max_a' Q(s', a') - Q(s, a))
    step     = learning_rate / (1 + learning_rate_decay * visits)

The m rows that meet (s, a) in one step move it by their mean error as m updates in a row towards one target would.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import distributions, spaces, trees
from jaxrl.agents import rollouts
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    learning_rate: float = 0.5
    learning_rate_decay: float = 0.0  # 0: a constant step; 1 - discount: the fastest to converge (Wainwright 2019)
    discount: float = 0.99
    epsilon: float = 0.1
    initial_value: float = 0.0  # optimistic where it exceeds the true values


class State(NamedTuple):
    values: Array  # float [states, actions]
    visits: Array  # float [states, actions]
    config: Config


def q_learning(observation_space: Any, action_space: Any, config: Config = Config()) -> Agent:
    if not isinstance(observation_space, spaces.Discrete) or not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"q_learning needs discrete spaces, got {observation_space} and {action_space}")
    shape = (observation_space.n, action_space.n)

    def init(key: Key, timestep: Timestep) -> State:
        return State(jnp.full(shape, config.initial_value, jnp.float32), jnp.zeros(shape), trees.traced(config))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        obs, epsilon = timestep.obs, state.config.epsilon if explore else 0.0
        action = distributions.epsilon_greedy(key, state.values[obs.features], epsilon, obs.legal)
        return action.astype(action_space.dtype), carry, ()

    def step(state: State, t: Transition) -> tuple[State, Mean]:
        (values, visits, hyper), pair = state, (t.obs.features, t.action)
        bootstrap = distributions.masked(values[t.next_obs.features], t.next_obs.legal).max(-1)
        error = t.reward + hyper.discount * jnp.where(t.terminated, 0.0, bootstrap) - values[pair]
        count, total = (jnp.zeros(shape).at[pair].add(x) for x in (t.valid, t.valid * error))
        rate = hyper.learning_rate / (1 + hyper.learning_rate_decay * (visits + count))
        values = values + (1 - (1 - rate) ** count) * total / jnp.maximum(count, 1.0)
        return State(values, visits + count, hyper), Mean.of(jnp.abs(error), t.valid)

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        state, error = jax.lax.scan(step, state, rollouts.blank_invalid(rollout.steps))
        return state, {"error": jax.tree.map(jnp.sum, error)}

    return Agent(init, lambda n: (), act, learn)
