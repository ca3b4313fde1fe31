"""Physics of brax; an episode is 1000 steps long, as brax's own wrappers have it."""

from typing import Any

import numpy as np

from jaxrl.spaces import Box
from jaxrl.suites.shared import closed, plain
from jaxrl.types import Array, Environment, Key

MAX_STEPS = 1000


def names(library: Any) -> tuple[str, ...]:
    return tuple(library._envs)


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    env = library.get_environment(name, **options)

    def reset(key: Key) -> tuple[Any, Array]:
        state = env.reset(plain(key))
        return state, state.obs

    def step(key: Key, state: Any, action: Array) -> tuple[Any, ...]:
        state = env.step(state, action)
        return state, state.obs, state.reward, state.done > 0

    observations = Box(-np.inf, np.inf, (int(env.observation_size),))
    return closed(reset, step, observations, Box(-1.0, 1.0, (int(env.action_size),)), MAX_STEPS)
