"""Sarsa(lambda) over tile coding (Sutton and Barto 2018, 12.7), for continuous observations with finite bounds.

Q(o, a) = mean of the values of the tiles that o lies in, one of each tiling
error   = r + discount * Q(o', a') - Q(o, a)                  a step is learnt from when the next action is known
trace  <- discount * trace_decay * trace, then 1 for (o, a) and 0 for the other actions in o (Singh and Sutton 1996)
values <- values + learning_rate * error * trace

True online Sarsa(lambda) (van Seijen et al. 2016) has Dutch traces, which grow by 1 - learning_rate * trace, and takes
into account that Q(o, a) has changed since it was a target. Behind a truncation, where no action is taken, stands the
expected value under the policy. Every row has traces of its own; rows that meet in a tile move it by their mean.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import distributions, spaces, trees
from jaxrl.agents import rollouts
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.tiles import tile_coding
from jaxrl.types import Agent, Array, Key, Observation, Rollout, Timestep, Transition, Tree

LARGEST = 10_000_000  # values of a table


class Config(NamedTuple):
    tiles: int = 8  # of each tiling, per axis
    tilings: int = 16
    true_online: bool = False
    learning_rate: float = 0.5  # the share of an error that one step takes away
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.9
    epsilon: float = 0.1
    initial_value: float = 0.0  # optimistic where it exceeds the true values


class State(NamedTuple):
    values: Array  # float [tiles, A]
    traces: Array  # float [N, tiles, A]
    last: Transition  # [N] the step that waits for the next action
    judged: Array  # float [N]: what the action behind it was worth before the latest update
    config: Config
    updates: Array  # int32: calls of learn


def linear_sarsa(observation_space: Any, action_space: Any, config: Config = Config()) -> Agent:
    if not isinstance(observation_space, spaces.Box) or not isinstance(action_space, spaces.Discrete):
        raise UsageError(
            f"linear_sarsa needs a Box to observe and Discrete actions, got {observation_space} and {action_space}"
        )
    coding = tile_coding(*observation_space.bounds(), config.tiles, config.tilings)
    if coding.size * action_space.n > LARGEST:
        raise UsageError(
            f"{config.tilings} tilings of {config.tiles} tiles need {coding.size * action_space.n} values: expected at "
            f"most {LARGEST}, because every step moves all of them; take fewer tiles"
        )

    def init(key: Key, timestep: Timestep) -> State:
        obs, none, zeros = timestep.obs, jnp.zeros(timestep.reward.shape, bool), jnp.zeros_like(timestep.reward)
        values = jnp.full((coding.size, action_space.n), config.initial_value, jnp.float32)
        traces = jnp.zeros((*none.shape, *values.shape))
        last = Transition(obs, none, none.astype(action_space.dtype), zeros, none, none, none, obs, ())
        return State(values, traces, last, zeros, trees.traced(config), jnp.zeros((), jnp.int32))

    def tiles_of(obs: Observation) -> Array:
        return coding.indices(obs.features.reshape(len(obs.features), -1))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        obs, epsilon = timestep.obs, state.config.epsilon if explore else 0.0
        action = distributions.epsilon_greedy(key, state.values[tiles_of(obs)].mean(-2), epsilon, obs.legal)
        return action.astype(action_space.dtype), carry, ()

    def expected(state: State, obs: Observation) -> Array:
        values = state.values[tiles_of(obs)].mean(-2)
        best, epsilon = distributions.masked(values, obs.legal).max(-1), state.config.epsilon
        return (1 - epsilon) * best + epsilon * jnp.mean(values, -1, where=obs.legal)

    def step(state: State, rate: Array, t: Transition) -> tuple[State, Mean]:
        last, hyper, rows = state.last, state.config, jnp.arange(t.reward.size)
        here, valid = tiles_of(last.obs), last.valid & (last.ended | t.valid)
        value = state.values[here, last.action[:, None]].mean(-1)
        judged = state.values[tiles_of(t.obs), t.action[:, None]].mean(-1)
        following = jnp.where(last.truncated, expected(state, last.next_obs), judged)
        error = last.reward + hyper.discount * jnp.where(last.terminated, 0, following) - value
        traces = jnp.where(last.first[:, None, None], 0, hyper.discount * hyper.trace_decay * state.traces)
        before = traces[rows[:, None], here]  # [N, tilings, A]
        taken = jax.nn.one_hot(last.action, action_space.n)[:, None]
        if config.true_online:
            grown = before + taken * (1 - rate * jnp.mean(before * taken, -2, keepdims=True))
        else:
            grown = jnp.broadcast_to(taken, before.shape)
        traces = traces.at[rows[:, None], here].set(jnp.where(valid[:, None, None], grown, before))
        changed = jnp.where(valid, value - state.judged, 0) if config.true_online else jnp.zeros_like(value)
        total = jnp.tensordot(jnp.where(valid, error, 0) + changed, traces, 1)
        if config.true_online:
            total = total.at[here, last.action[:, None]].add(-changed[:, None])
        rows = jnp.sum(traces, 0) / jnp.maximum(jnp.max(traces, 0), 1e-30)  # that meet in a tile
        values = state.values + rate * total / jnp.maximum(rows, 1)
        waits = t._replace(truncated=t.truncated & ~t.terminated)
        return state._replace(values=values, traces=traces, last=waits, judged=judged), Mean.of(jnp.abs(error), valid)

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        rate = state.config.learning_rate * jnp.maximum(1 - state.updates / state.config.total_updates, 0)
        steps = rollouts.blank_invalid(rollout.steps)
        state, error = jax.lax.scan(lambda state, t: step(state, rate, t), state, steps)
        updates = trees.count_up(state.updates, 1)
        return state._replace(updates=updates), {"error": jax.tree.map(jnp.sum, error)}

    return Agent(init, lambda n: (), act, learn)
