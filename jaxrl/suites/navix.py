"""Gridworlds of navix."""

from typing import Any

import numpy as np

from jaxrl.compat import bound
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete
from jaxrl.suites.shared import closed, plain
from jaxrl.types import Array, Environment, Key

TERMINATION = 2  # navix's step types: 0 a transition, 1 a truncation


def names(library: Any) -> tuple[str, ...]:
    return tuple(library.registry())


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    env = library.make(name, **options)

    def reset(key: Key) -> tuple[Any, Array]:
        timestep = env.reset(plain(key))
        return timestep, timestep.observation

    def step(key: Key, timestep: Any, action: Array) -> tuple[Any, ...]:
        timestep = env._step(timestep, action)  # `step` resets by itself
        return timestep, timestep.observation, timestep.reward, timestep.step_type == TERMINATION

    actions = int(env.action_space.maximum) + 1
    return closed(reset, step, _space(env.observation_space), Discrete(actions), int(env.max_steps))


def _space(space: Any) -> Box:
    """navix's space of observations, whose Discrete has a shape."""
    low, high, dtype = np.asarray(space.minimum), np.asarray(space.maximum), np.dtype(space.dtype)
    if np.issubdtype(dtype, np.floating):
        return Box(bound(low), bound(high), tuple(space.shape))
    if low.ndim or high.ndim:
        raise UsageError(f"navix space {space}: expected one bound for all entries")
    # What it declares for symbols is too narrow (the agent's own is 10), what it declares for pixels is 0 to 255.
    return Box(int(low), max(int(high), 255), tuple(space.shape), dtype.type)
