"""How the agent of a run values actions: what its table, its tiles or its network say."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxrl.agents import curiosity, dqn, dqn_family, pqn, r2d2
from jaxrl.agents.normalisers import normalise
from jaxrl.agents.tabular import core, linear_sarsa
from jaxrl.errors import UsageError
from jaxrl.experiment import Result
from jaxrl.tiles import tile_coding
from jaxrl.types import Array, Network, Observation, Tree
from jaxrl.value_networks import AGGREGATIONS, q_network

OTHER = {"mean": "max", "max": "mean"}  # aggregation

Evaluate = Callable[[Tree, Observation, Array], Array]  # (state, obs [T, N], first [T, N]) -> action values [T, N, A]


def action_values(result: Result, state: Tree) -> Evaluate:
    """How the run's agent values actions; a UsageError where it does not."""
    settings, env = result.settings, result.parts.adapted
    config, num_actions = settings.config, getattr(env.action_space, "n", 0)
    if isinstance(state, curiosity.State):
        inner = action_values(result, state.agent)
        return lambda state, obs, first: inner(state.agent, obs, first)
    if isinstance(state, core.State) and state.values.ndim > 1:
        return lambda state, obs, first: core.look_up(state, obs).values
    if isinstance(config, linear_sarsa.Config):
        low, high = env.observation_space.bounds()
        coding = tile_coding(low, high, config.tiles, config.tilings)
        return lambda state, obs, first: state.values[coding.indices(obs.features.reshape(*first.shape, -1))].mean(-2)
    if isinstance(config, dqn.Config):
        parts = dqn_family.parts(env, settings.network, config)
        return _along(parts.network, parts.head.values, lambda state, obs: normalise(state.normalisers, obs))
    if isinstance(config, pqn.Config):
        network = q_network(settings.network, num_actions)
        return _along(network, lambda out, hyper: out / hyper.reward_scale)
    if isinstance(config, r2d2.Config):
        aggregate = AGGREGATIONS["mean"] if config.dueling else None
        network = q_network(settings.network, num_actions, aggregate=aggregate)
        return _along(network, lambda out, hyper: r2d2.restore(out) if config.rescaled else out)
    raise UsageError(
        f"{settings.algorithm} learns no action values: expected a run of one that does, such as q_learning or dqn"
    )


def _along(
    network: Network,
    read: Callable[[Any, Any], Array],
    see: Callable[[Tree, Observation], Observation] = lambda state, obs: obs,
) -> Evaluate:
    def evaluate(state: Tree, obs: Observation, first: Array) -> Array:
        _, out = network.unroll(state.params, network.begin(first.shape[1]), see(state, obs), first)
        return read(out, state.config)

    return evaluate


def joined_otherwise(result: Result) -> Result | None:
    """The run as it would be with the other aggregation of its dueling network; None where it has no such choice."""
    config = result.settings.config
    if not (isinstance(config, dqn.Config) and config.dueling):
        return None
    other = config._replace(aggregation=OTHER[config.aggregation])
    return dataclasses.replace(result, settings=result.settings.model_copy(update={"config": other}))


def beliefs(result: Result, state: Tree) -> Evaluate:
    """Action values [1, T, N, A]; [2, T, N, A] of a dueling network, which come last as the other aggregation joins."""
    runs = [run for run in (result, joined_otherwise(result)) if run is not None]
    each = [action_values(run, state) for run in runs]
    return lambda state, obs, first: jnp.stack([evaluate(state, obs, first) for evaluate in each])
