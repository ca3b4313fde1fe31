"""Worlds of JaxMARL. Agents are an axis: shorter vectors of features are padded with zeros, fewer actions by masks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.compat import bound
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete, Space
from jaxrl.suites.shared import closed, plain, unlimited
from jaxrl.types import Array, Environment, Key


def names(library: Any) -> tuple[str, ...]:
    return tuple(library.registered_envs)


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    env = library.make(name, **options)
    endless, agents = unlimited(env, "max_steps"), list(env.agents)
    limit = getattr(env, "max_steps", None)
    action_spaces = [env.action_space(agent) for agent in agents]
    action_space = _action_space(action_spaces)
    size = [getattr(each, "n", 0) for each in action_spaces]

    def seen(obs: dict[str, Array]) -> Array:
        return _padded([obs[agent] for agent in agents])

    def reset(key: Key) -> tuple[Any, Array]:
        obs, state = env.reset(plain(key))
        return state, seen(obs)

    def step(key: Key, state: Any, action: Array) -> tuple[Any, ...]:
        if isinstance(action_space, Discrete):
            action = jnp.minimum(action, np.array(size) - 1)
        chosen = {agent: action[i] for i, agent in enumerate(agents)}
        draw = plain(key)
        obs, after, reward, _, _ = env.step_env(draw, state, chosen)
        done = endless.step_env(draw, state, chosen)[3]
        over = jnp.stack([done[agent] for agent in agents]) | done["__all__"]
        return after, seen(obs), jnp.stack([reward[agent] for agent in agents]), over

    state, shown = jax.eval_shape(lambda: reset(jax.random.key(0)))
    space = _observation_space([env.observation_space(agent) for agent in agents], shown.shape[1:])
    legal = _legal(env, agents, state, size) if isinstance(action_space, Discrete) else None
    return closed(reset, step, space, action_space, None if limit is None else int(limit), len(agents), legal)


def _padded(parts: list[Array]) -> Array:
    """[A, ...]: as they are where they are alike, else as vectors as long as the longest."""
    if len({part.shape for part in parts}) == 1:
        return jnp.stack(parts)
    longest = max(part.size for part in parts)
    return jnp.stack([jnp.pad(jnp.ravel(part), (0, longest - part.size)) for part in parts])


def _observation_space(each: list[Any], shape: tuple[int, ...]) -> Box:
    alike = all(type(one).__name__ == "Box" and tuple(one.shape) == shape for one in each)
    if alike and all(np.array_equal(one.low, each[0].low) and np.array_equal(one.high, each[0].high) for one in each):
        return Box(bound(each[0].low), bound(each[0].high), shape)
    return Box(-np.inf, np.inf, shape)


def _action_space(each: list[Any]) -> Space:
    kinds = {type(one).__name__ for one in each}
    if kinds == {"Discrete"}:
        return Discrete(max(int(one.n) for one in each))
    if kinds == {"Box"} and len({tuple(one.shape) for one in each}) == 1:
        return Box(bound(each[0].low), bound(each[0].high), tuple(each[0].shape))
    raise UsageError(f"JaxMARL actions {kinds}: expected Discrete, or Box of one shape for all agents")


def _legal(env: Any, agents: list[str], state: Any, size: list[int]) -> Callable[..., Array] | None:
    """Legal actions [A, n], from the world's own masks and the agents' numbers of actions; None where all are."""
    width = max(size)
    inside = np.arange(width) < np.array(size)[:, None]
    try:
        jax.eval_shape(env.get_avail_actions, state)
    except (NotImplementedError, AttributeError):
        return None if inside.all() else lambda state, params: jnp.asarray(inside)

    def legal_actions(state: Any, params: Any) -> Array:
        masks = env.get_avail_actions(state)
        return jnp.asarray(inside) & jnp.stack(
            [jnp.pad(masks[a].astype(bool), (0, width - masks[a].size)) for a in agents]
        )

    return legal_actions
