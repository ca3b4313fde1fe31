"""gymnax's environments as ours, from their raw `reset_env` and `step_env`: limits and resets belong to `vectorize`."""

import dataclasses
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError, at_least, check_options, unknown
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key

# bsuite ends this one at its last step by definition (its observation shows the time); gymnax calls that a limit.
ENDS_AT_LIMIT = ("DiscountingChain-bsuite",)
# Observations that leave the space that gymnax declares for them (the second by a rounding): (low, high) as shown.
SEEN_BOUNDS = {"MemoryChain-bsuite": (-1.0, np.inf), "UmbrellaChain-bsuite": (-1e-6, 1.0)}


def gymnax(name: str, options: Mapping[str, Any] | None = None) -> Environment:
    """The environment of gymnax's id ("CartPole-v1"), with its own dynamics parameters as `params` (a pytree).

    options: its constructor's keywords, the fields of its params, and `max_steps` (None: no limit).
    Observations of a Box are float32, rewards float32 []; `terminated` is no time limit (but for ENDS_AT_LIMIT).
    """
    library, options = _library(), dict(options or {})
    if name not in library.registered_envs:
        raise unknown("gymnax environment", name, library.registered_envs)
    env, params = _construct(library, name, options)
    limit = options.get("max_steps", int(params.max_steps_in_episode))
    observation_space = _space(env.observation_space(params), *SEEN_BOUNDS.get(name, ()))
    action_space = _space(env.action_space(params))

    def reset(key: Key, params: Any) -> tuple[Any, Array]:
        obs, state = env.reset_env(key, jax.tree.map(jnp.asarray, params))
        return _like(state, kinds), jnp.asarray(obs, observation_space.dtype)

    def step(key: Key, state: Any, action: Array, params: Any) -> tuple[Any, Array, Array, Array]:
        action, params = jnp.asarray(action, action_space.dtype), jax.tree.map(jnp.asarray, params)
        obs, state, reward, terminated, _ = env.step_env(key, state, action, params)
        if name in ENDS_AT_LIMIT:
            terminated = env.is_truncated(state, params)
        obs, reward = jnp.asarray(obs, observation_space.dtype), jnp.asarray(reward, jnp.float32)
        return _like(state, kinds), obs, reward, jnp.asarray(terminated, bool)

    def after_one_step(key: Key, params: Any) -> Any:
        state = jax.tree.map(jnp.asarray, env.reset_env(key, params)[1])
        return env.step_env(key, state, action_space.sample(key), params)[1]

    params = jax.tree.map(_strong, params)
    kinds = jax.eval_shape(after_one_step, jax.random.key(0), params)  # a reset's state may hold Python numbers
    return Environment(reset, step, observation_space, action_space, params=params, max_steps=limit)


def observe(name: str, options: Mapping[str, Any] | None = None) -> Callable[[Any, Any], Array]:
    """A function (state, params) -> what gymnax's environment of that id and those options shows of a state."""
    return _construct(_library(), name, dict(options or {}))[0].get_obs


def _library() -> Any:
    """gymnax, imported only now: it drags matplotlib and pandas in."""
    advice = 'expected gymnax 1.0.1 or later: pip install "gymnax>=1.0.1"'
    try:
        version = importlib.metadata.version("gymnax")
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(f"gymnax is not installed; {advice}") from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < (1, 0, 1):
        raise UsageError(f"gymnax {version} mixes time limits into terminations; {advice}")
    return importlib.import_module("gymnax")


def _construct(library: Any, name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """(gymnax's environment, its params), after the options were checked."""
    env, params = library.make(name)
    keywords = {p.name: p.default for p in inspect.signature(type(env)).parameters.values()}
    fields = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    fields["max_steps"] = fields.pop("max_steps_in_episode")
    check_options(name, options, fields | keywords)
    at_least("max_steps", options.get("max_steps"), 1)
    if any(option in keywords for option in options):
        env, params = library.make(name, **{k: v for k, v in options.items() if k in keywords})
    values = {k: v for k, v in options.items() if k in fields and k != "max_steps"}
    changed = {k: np.asarray(v, np.asarray(fields[k]).dtype) for k, v in values.items()}
    if options.get("max_steps") is not None:
        changed["max_steps_in_episode"] = options["max_steps"]
    return env, params.replace(**changed)


def _space(space: Any, low: float | None = None, high: float | None = None) -> Any:
    """gymnax's space as ours; bounds at the edge of float32 stand for none."""
    if type(space).__name__ == "Discrete":
        return Discrete(int(space.n))
    if type(space).__name__ != "Box":
        raise UsageError(f"gymnax space {space}: expected Discrete or Box")
    return Box(bound(space.low if low is None else low), bound(space.high if high is None else high), space.shape)


def bound(value: Any) -> Any:
    """A number, or nested tuples where it differs between entries, so that the space stays hashable."""
    array = np.asarray(value, np.float32)
    array = np.where(np.abs(array) >= np.finfo(np.float32).max, np.copysign(np.inf, array), array)
    return float(array.flat[0]) if np.all(array == array.flat[0]) else _nested(array.tolist())


def _nested(value: Any) -> Any:
    return tuple(_nested(each) for each in value) if isinstance(value, list) else value


def _strong(leaf: Any) -> np.ndarray:
    """A Python number or array as float32, int32 or bool."""
    array = np.asarray(leaf)
    return array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))


def _like(state: Any, kinds: Any) -> Any:
    return jax.tree.map(lambda leaf, kind: jnp.asarray(leaf, kind.dtype), state, kinds)
