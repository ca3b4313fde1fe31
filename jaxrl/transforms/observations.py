"""What is seen: the last frames, frames that are missing or noisy, the time that is left."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces, trees
from jaxrl.errors import UsageError, at_least, within
from jaxrl.transforms.carried import Carried, carrying
from jaxrl.transforms.features import features_of, with_features
from jaxrl.types import Array, Environment, Key, Tree


def frame_stack(env: Environment, n: int) -> Environment:
    """The last n frames, oldest first: features [...] -> [n, ...]; an episode's first frame fills the stack.

    An index becomes a MultiDiscrete vector [n], a MultiDiscrete vector [k] one of n * k.
    """
    at_least("n", n, 1)
    axis = 0 if env.num_agents is None else 1

    def fill(frame: Array) -> Array:
        return jnp.repeat(jnp.expand_dims(frame, axis), n, axis)

    def push(frames: Array, frame: Array) -> Array:
        return jnp.concatenate([jax.lax.slice_in_dim(frames, 1, n, axis=axis), jnp.expand_dims(frame, axis)], axis)

    def show(space: Any, frames: Array) -> Array:
        return frames.reshape(*frames.shape[:axis], -1) if isinstance(space, spaces.MultiDiscrete) else frames

    def see(frames: Tree, obs: Any) -> Any:
        shown = jax.tree.map(show, env.observation_space, frames, is_leaf=spaces.is_space)
        return with_features(obs, shown)

    def reset(key: Key, params: Tree) -> tuple[Carried, Any]:
        inner, obs = env.reset(key, params)
        frames = jax.tree.map(fill, features_of(obs))
        return Carried(inner, frames), see(frames, obs)

    def step(key: Key, state: Carried, action: Tree, params: Tree) -> Any:
        inner, obs, reward, terminated = env.step(key, state.inner, action, params)
        frames = jax.tree.map(push, state.memory, features_of(obs))
        return Carried(inner, frames), see(frames, obs), reward, terminated

    space = jax.tree.map(lambda leaf: _stacked(leaf, n), env.observation_space, is_leaf=spaces.is_space)
    return carrying(env)._replace(reset=reset, step=step, observation_space=space)


def flicker(env: Environment, probability: float) -> Environment:
    """Each frame, the first one too, is zeros with this probability (0.5 in Hausknecht & Stone 2015)."""
    within("probability", probability, 0, 1)
    _boxes("flicker", env)

    def widened(space: spaces.Box) -> spaces.Box:
        low, high = space.bounds()
        if low.max(initial=0) <= 0 <= high.min(initial=0):
            return space
        return spaces.Box(min(low.min().item(), 0), max(high.max().item(), 0), space.shape, space.dtype)

    def hide(key: Key, features: Tree) -> Tree:
        hidden = jax.random.bernoulli(key, probability, () if env.num_agents is None else (env.num_agents,))
        return trees.where(hidden, jax.tree.map(jnp.zeros_like, features), features)

    return env if probability == 0 else _disturbed(env, hide, widened)


def noisy(env: Environment, scale: float) -> Environment:
    """Normal noise of standard deviation `scale` on every float feature, which has no bounds any more."""
    at_least("scale", scale, 0)
    for box in _boxes("noisy", env):
        if not np.issubdtype(box.dtype, np.floating):
            raise UsageError(f"noisy needs float observations, got {env.observation_space}: apply flatten first")

    def disturb(key: Key, features: Tree) -> Tree:
        leaves, structure = jax.tree.flatten(features)
        keys = jax.random.split(key, len(leaves)) if len(leaves) > 1 else [key]
        noise = [scale * jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
        return jax.tree.unflatten(structure, [leaf + each for leaf, each in zip(leaves, noise, strict=True)])

    def unbounded(space: spaces.Box) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, space.shape, space.dtype)

    return env if scale == 0 else _disturbed(env, disturb, unbounded)


def time_aware(env: Environment) -> Environment:
    """The share of the time limit that is left, as one feature more: a vector [n] -> float [n + 1] (Pardo et al. 2018).

    1 at the start, 0 when `max_steps` is reached; the limit itself stays outside. Change `max_steps` before, not after.
    """
    space, limit = env.observation_space, env.max_steps
    if limit is None:
        raise UsageError("time_aware needs a time limit: the world's max_steps is None, give it one first")
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise UsageError(f"time_aware needs a vector of features, got {space}: apply one_hot or flatten first")

    def see(obs: Any, steps: Array) -> Any:
        features = features_of(obs).astype(jnp.float32)
        left = jnp.broadcast_to(1 - steps.astype(jnp.float32) / limit, (*features.shape[:-1], 1))
        return with_features(obs, jnp.concatenate([features, left], -1))

    def reset(key: Key, params: Tree) -> tuple[Carried, Any]:
        inner, obs = env.reset(key, params)
        return Carried(inner, jnp.int32(0)), see(obs, jnp.int32(0))

    def step(key: Key, state: Carried, action: Tree, params: Tree) -> Any:
        inner, obs, reward, terminated = env.step(key, state.inner, action, params)
        return Carried(inner, state.memory + 1), see(obs, state.memory + 1), reward, terminated

    low, high = (tuple(bound.tolist()) for bound in space.bounds())
    longer = spaces.Box((*low, 0.0), (*high, 1.0), (len(low) + 1,))
    return carrying(env)._replace(reset=reset, step=step, observation_space=longer)


def _disturbed(env: Environment, disturb: Callable[[Key, Tree], Tree], change: Callable[..., Any]) -> Environment:
    """`env` seen through `disturb` (key, features) -> features; what it is and does stays, its model too."""

    def reset(key: Key, params: Tree) -> tuple[Any, Any]:
        reset_key, disturb_key = jax.random.split(key)
        state, obs = env.reset(reset_key, params)
        return state, with_features(obs, disturb(disturb_key, features_of(obs)))

    def step(key: Key, state: Any, action: Tree, params: Tree) -> Any:
        step_key, disturb_key = jax.random.split(key)
        state, obs, reward, terminated = env.step(step_key, state, action, params)
        return state, with_features(obs, disturb(disturb_key, features_of(obs))), reward, terminated

    space = jax.tree.map(change, env.observation_space, is_leaf=spaces.is_space)
    return env._replace(reset=reset, step=step, observation_space=space)


def _boxes(name: str, env: Environment) -> list[spaces.Box]:
    """The leaves of the observation space, all of them Boxes: no index can be hidden or noisy."""
    leaves = jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)
    if not all(isinstance(leaf, spaces.Box) for leaf in leaves):
        raise UsageError(f"{name} needs Box observations, got {env.observation_space}: apply one_hot first")
    return leaves


def _stacked(space: Any, n: int) -> Any:
    """The space of n frames."""
    if isinstance(space, spaces.Box):
        return spaces.Box(space.low, space.high, (n, *space.shape), space.dtype)
    sizes = (space.n,) if isinstance(space, spaces.Discrete) else tuple(space.sizes)
    return spaces.MultiDiscrete(sizes * n, space.dtype)
