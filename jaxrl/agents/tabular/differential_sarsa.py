"""Differential Sarsa for continuing tasks (Sutton and Barto 2018, 10.3): what counts is the average reward, rho.

error   = r - rho + discount * Q(s', a') - Q(s, a)
Q(s, a) <- Q(s, a) + step * error
rho     <- rho + average_step * step * error        (steps in a fixed proportion, as in Wan, Naik and Sutton 2021)

With a discount of 1, Q are differential values: how much more than rho is earned in all from there on. Below 1 they are
discounted values around rho (Naik et al. 2024, reward centering). A step is learnt from when the next action is known.
A task with ends is one that continues: what follows a termination is the next start. What follows a truncation is the
observation reached there, at its expected value under the policy.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Timestep, Transition


@core.extend
class Config(NamedTuple):
    learning_rate: float = 0.01
    average_step: float = 1.0
    discount: float = 1.0


class Memory(NamedTuple):
    average: Array  # float []: rho
    last: Transition  # [N] the step that waits for the next action


def differential_sarsa(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table, policy = core.shape("differential_sarsa", observation_space, action_space), core.exploring(config)

    def remember(timestep: Timestep) -> Memory:
        none, obs, reward = jnp.zeros(timestep.reward.shape, bool), timestep.obs, jnp.zeros_like(timestep.reward)
        last = Transition(obs, none, none.astype(action_space.dtype), reward, none, none, none, obs, ())
        return Memory(jnp.zeros(()), last)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        (average, last), hyper = state.memory, state.config
        pair, next_pair = (last.obs.features, last.action), (t.obs.features, t.action)
        expected = core.expected(policy, state, last.next_obs)
        following = hyper.discount * jnp.where(last.truncated, expected, state.values[next_pair])
        valid = last.valid & (last.truncated | t.valid)
        error = jnp.where(valid, last.reward - average + following - state.values[pair], 0)
        state, reported = core.move(state, pair, error, valid)
        steps = hyper.learning_rate / (1 + hyper.learning_rate_decay * state.visits[pair])
        count = jnp.maximum(jnp.sum(valid), 1)
        step = jnp.minimum(hyper.average_step * jnp.sum(valid * steps) / count, 1)
        average = average + (1 - (1 - step) ** count) * jnp.sum(error) / count
        waits = t._replace(truncated=t.truncated & ~t.terminated)
        return state._replace(memory=Memory(average, waits)), reported

    return core.tabular(table, action_space, config, policy, update, remember)
