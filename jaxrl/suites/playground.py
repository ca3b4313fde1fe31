"""Robots of MuJoCo Playground. What only a simulator knows ("privileged_state") is the `state` of an observation."""

from typing import Any

import jax
import numpy as np

from jaxrl.spaces import Box
from jaxrl.suites.shared import closed, plain
from jaxrl.types import Array, Environment, Key, Observation


def names(library: Any) -> tuple[str, ...]:
    return tuple(library.registry.ALL_ENVS)


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    config = library.registry.get_default_config(name)
    # Its other implementation, Warp, keeps arrays that rows share in the state, so that no row can start anew alone.
    plain_jax = {"impl": "jax"} if "impl" in config else {}
    env, limit = library.registry.load(name, config_overrides=plain_jax | options), int(config.episode_length)

    def seen(obs: Any) -> Any:
        return Observation(obs["state"], state=obs.get("privileged_state")) if isinstance(obs, dict) else obs

    def reset(key: Key) -> tuple[Any, Any]:
        state = env.reset(plain(key))
        return state, seen(state.obs)

    def step(key: Key, state: Any, action: Array) -> tuple[Any, ...]:
        state = env.step(state, action)
        return state, seen(state.obs), state.reward, state.done > 0

    shown = jax.eval_shape(lambda: reset(jax.random.key(0))[1])
    shape = (shown.features if isinstance(shown, Observation) else shown).shape
    return closed(reset, step, Box(-np.inf, np.inf, shape), Box(-1.0, 1.0, (int(env.action_size),)), limit)
