"""The form of the features: the shared way to change them, one-hot vectors, flat vectors, equal scales."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.types import Array, Environment, Key, Observation, Tree


def one_hot(env: Environment) -> Environment:
    """Discrete features, an index [] -> a float vector [n]; a MultiDiscrete vector -> its parts' vectors in a row."""
    space = env.observation_space
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        raise UsageError(f"one_hot needs discrete observations, got {space}")
    encode, bounds = _as_vector(space)
    return _map_features(env, encode, spaces.Box(0.0, 1.0, (len(bounds),)))


def flatten(env: Environment) -> Environment:
    """Features of any shape or nesting (a dict) -> one float vector [n]; discrete ones among several are one-hot."""
    parts = jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)
    if len(parts) == 1 and not isinstance(parts[0], spaces.Box):
        raise UsageError(f"flatten needs Box observations, got {env.observation_space}: apply one_hot first")
    encoders, bounds = zip(*map(_as_vector, parts), strict=True)
    low, high = (tuple(pair[i] for each in bounds for pair in each) for i in (0, 1))

    def encode(features: Tree) -> Array:
        leaves = jax.tree.leaves(features)
        return jnp.concatenate([encode(leaf) for encode, leaf in zip(encoders, leaves, strict=True)])

    return _map_features(env, encode, spaces.Box(low, high, (len(low),)))


def _as_vector(space: Any) -> tuple[Callable[[Array], Array], list[tuple[float, float]]]:
    """What makes a float vector [n] of an element of a space, and the bounds (low, high) of each of its entries."""
    if isinstance(space, spaces.Box):
        low, high = (bound.ravel().tolist() for bound in space.bounds())
        return lambda x: jnp.ravel(x).astype(jnp.float32), list(zip(low, high, strict=True))
    sizes = (space.n,) if isinstance(space, spaces.Discrete) else space.sizes

    def encode(index: Array) -> Array:
        each = zip(jnp.atleast_1d(index), sizes, strict=True)
        return jnp.concatenate([jax.nn.one_hot(part, n) for part, n in each])

    return encode, [(0.0, 1.0)] * sum(sizes)


def rescale(env: Environment, reach: float = 1.0) -> Environment:
    """Box features of any shape: each mapped from its bounds to [-reach, reach]; one that has none stays as it is."""
    space = env.observation_space
    if not isinstance(space, spaces.Box):
        raise UsageError(f"rescale needs a Box of observations, got {space}: apply one_hot or flatten first")
    low, high = (bound.astype(np.float32) for bound in space.bounds())
    with np.errstate(over="ignore", invalid="ignore"):  # a bound may be infinite, or the largest number there is
        bounded = np.isfinite(high - low) & (high > low)
        middle = np.where(bounded, (low + high) / 2, 0.0)
        factor = np.where(bounded, 2 * reach / (high - low), 1.0).astype(np.float32)
    lowest, highest = (np.where(bounded, sign * reach, bound) for sign, bound in ((-1, low), (1, high)))
    scaled = spaces.Box(_tuples(lowest.tolist()), _tuples(highest.tolist()), space.shape)

    def encode(features: Array) -> Array:
        return (features.astype(jnp.float32) - middle) * factor

    return _map_features(env, encode, scaled)


def _tuples(nested: Any) -> Any:
    return tuple(map(_tuples, nested)) if isinstance(nested, list) else nested


def _map_features(env: Environment, encode: Callable[[Tree], Tree], space: Any) -> Environment:
    """`env` with the features `encode` makes of one agent's features; space: theirs."""
    encode = encode if env.num_agents is None else jax.vmap(encode)

    def reset(key: Key, params: Tree) -> tuple[Any, Any]:
        state, obs = env.reset(key, params)
        return state, with_features(obs, encode(features_of(obs)))

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        state, obs, reward, terminated = env.step(key, state, action, params)
        return state, with_features(obs, encode(features_of(obs))), reward, terminated

    return env._replace(reset=reset, step=step, observation_space=space)


def features_of(obs: Any) -> Tree:
    """What networks read of an observation as authors give it: the features themselves, or an `Observation`."""
    return obs.features if isinstance(obs, Observation) else obs


def with_features(obs: Any, features: Tree) -> Any:
    """The same observation (goals and all) with other features."""
    return obs._replace(features=features) if isinstance(obs, Observation) else features
