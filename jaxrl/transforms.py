"""Transforms of environments, `Environment -> Environment`: they act before a time limit or a reset exists."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.types import Array, Environment, Key, Observation, Tree


def one_hot(env: Environment) -> Environment:
    """Discrete features, an index [] -> a float vector [n]; a MultiDiscrete vector -> its parts' vectors in a row."""
    space = env.observation_space
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        raise UsageError(f"one_hot needs discrete observations, got {space}")
    sizes = (space.n,) if isinstance(space, spaces.Discrete) else space.sizes

    def encode(features: Array) -> Array:
        parts = jnp.atleast_1d(features)
        return jnp.concatenate([jax.nn.one_hot(part, n) for part, n in zip(parts, sizes, strict=True)])

    return _map_features(env, encode, spaces.Box(0.0, 1.0, (sum(sizes),)))


def flatten(env: Environment) -> Environment:
    """Features of any shape or nesting -> one float vector [n]."""
    parts = jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)
    if not all(isinstance(part, spaces.Box) for part in parts):
        raise UsageError(f"flatten needs Box observations, got {env.observation_space}: apply one_hot first")
    low, high = (tuple(x for part in parts for x in part.bounds()[i].ravel().tolist()) for i in (0, 1))
    size = sum(math.prod(part.shape) for part in parts)

    def encode(features: Tree) -> Array:
        return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(features)])

    return _map_features(env, encode, spaces.Box(low, high, (size,)))


def _map_features(env: Environment, encode: Any, space: Any) -> Environment:
    def convert(obs: Any) -> Any:
        return obs._replace(features=encode(obs.features)) if isinstance(obs, Observation) else encode(obs)

    def reset(key: Key, params: Tree) -> tuple[Any, Any]:
        state, obs = env.reset(key, params)
        return state, convert(obs)

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        state, obs, reward, terminated = env.step(key, state, action, params)
        return state, convert(obs), reward, terminated

    return env._replace(reset=reset, step=step, observation_space=space)
