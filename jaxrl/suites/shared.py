"""What the suites share: states whose types never change, and spaces from what is shown."""

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.types import Array, Environment, Key, Observation, Tree

NEVER = 2**30  # the time limit of a copy that has none


def plain(key: Key) -> Array:
    """A key as the suites draw from: uint32 [2], drawn from a typed key of any kind."""
    return jax.random.bits(key, (2,), jnp.uint32)


def closed(
    reset: Callable[..., Any],
    step: Callable[..., Any],
    observation_space: Tree,
    action_space: Any,
    max_steps: int | None = None,
    num_agents: int | None = None,
    legal_actions: Callable[..., Array] | None = None,
) -> Environment:
    """The environment of a suite's reset (key) -> (state, obs) and step (key, state, action) -> (..., terminated).

    States keep the dtypes that a step gives, features have those of their space, rewards are float32.
    """
    shape = () if num_agents is None else (num_agents,)

    def after_one_step(key: Key) -> Any:
        action = jnp.zeros((*shape, *action_space.shape), action_space.dtype)
        return step(key, reset(key)[0], action)[0]

    kinds = jax.eval_shape(after_one_step, jax.random.key(0))

    def like(state: Any) -> Any:
        return jax.tree.map(lambda leaf, kind: jnp.asarray(leaf, kind.dtype), state, kinds)

    def typed_reset(key: Key, params: Tree) -> tuple[Any, Any]:
        state, obs = reset(key)
        return like(state), _cast(observation_space, obs)

    def typed_step(key: Key, state: Any, action: Array, params: Tree) -> tuple[Any, ...]:
        state, obs, reward, terminated = step(key, state, action)
        return (
            like(state),
            _cast(observation_space, obs),
            jnp.asarray(reward, jnp.float32),
            jnp.asarray(terminated, bool),
        )

    return Environment(
        typed_reset, typed_step, observation_space, action_space,
        max_steps=max_steps, num_agents=num_agents, legal_actions=legal_actions,
    )  # fmt: skip


def unlimited(env: Any, name: str) -> Any:
    """A copy of a suite's environment (or of the one inside it) whose attribute `name`, its time limit, is far away.

    Beside the original in one program it tells terminations from the limit; what both compute is computed once.
    """
    other = copy.copy(env)
    if name in vars(env):
        setattr(other, name, NEVER)
    elif "_env" in vars(env):
        other._env = unlimited(env._env, name)
    return other


def box(shown: Any, low: Any = None, high: Any = None) -> spaces.Box:
    """The space of an array like `shown`: flags are float32 in 0 to 1, other numbers as wide as they are."""
    if shown.dtype == bool:
        return spaces.Box(0.0, 1.0, tuple(shown.shape))
    if np.issubdtype(shown.dtype, np.floating):
        return spaces.Box(-np.inf if low is None else low, np.inf if high is None else high, tuple(shown.shape))
    limits = np.iinfo(shown.dtype)
    low, high = (int(limits.min) if low is None else low, int(limits.max) if high is None else high)
    return spaces.Box(low, high, tuple(shown.shape), np.dtype(shown.dtype).type)


def _cast(space: Tree, obs: Any) -> Any:
    if isinstance(obs, Observation):
        return obs._replace(features=_cast(space, obs.features))
    return jax.tree.map(lambda leaf, x: jnp.asarray(x, leaf.dtype), space, obs, is_leaf=spaces.is_space)
