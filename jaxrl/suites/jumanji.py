"""Problems of jumanji. A mask of actions is `legal`; every other field of an observation is a feature of its name."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.compat import bound
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete, MultiDiscrete, Space
from jaxrl.suites.shared import box, closed, plain, unlimited
from jaxrl.types import Array, Environment, Key, Tree

LAST = 2  # dm_env's step types: 0 the first, 1 one in between


def names(library: Any) -> tuple[str, ...]:
    return tuple(library.registered_environments())


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    env = library.make(name, **options)
    endless, limit = unlimited(env, "time_limit"), getattr(env, "time_limit", None)
    if env.reward_spec.shape:
        raise UsageError(f"jumanji environment {name} rewards several agents: expected one reward")
    specs, action_space = env.observation_spec, _action_space(env.action_spec)
    mask_shape = tuple(_parts(specs)["action_mask"].shape) if "action_mask" in _parts(specs) else None
    masks = isinstance(action_space, Discrete) and mask_shape == (action_space.n,)
    fields = [each for each in _parts(specs) if each != "action_mask" or not masks]

    def seen(obs: Any) -> Tree:
        return {each: _values(_parts(specs)[each], getattr(obs, each)) for each in fields} if fields else obs

    def reset(key: Key) -> tuple[Any, Tree]:
        state, timestep = env.reset(plain(key))
        mask = timestep.observation.action_mask if masks else ()
        return (state, mask), seen(timestep.observation)

    def step(key: Key, both: Any, action: Array) -> tuple[Any, ...]:
        state, timestep = env.step(both[0], action)
        judged = endless.step(both[0], action)[1]
        terminated = (judged.step_type == LAST) & (judged.discount == 0)
        mask = timestep.observation.action_mask if masks else ()
        return (state, mask), seen(timestep.observation), timestep.reward, terminated

    space = {each: _space(_parts(specs)[each], limit) for each in fields} if fields else _space(specs, limit)
    legal = (lambda state, params: jnp.asarray(state[1], bool)) if masks else None
    return closed(reset, step, space, action_space, None if limit is None else int(limit), legal_actions=legal)


def _parts(spec: Any) -> dict[str, Any]:
    return dict(spec._specs)


def _values(spec: Any, value: Any) -> Tree:
    return {name: _values(each, getattr(value, name)) for name, each in _parts(spec).items()} or value


def _space(spec: Any, limit: int | None) -> Tree:
    """The space of an observation's spec; a count of steps reaches the limit itself."""
    if _parts(spec):
        return {name: _space(each, limit) for name, each in _parts(spec).items()}
    low, high = getattr(spec, "minimum", None), getattr(spec, "maximum", None)
    if low is None or high is None or spec.dtype == bool:
        return box(spec)
    if np.issubdtype(spec.dtype, np.floating):
        return Box(bound(low), bound(high), tuple(spec.shape))
    highest = int(np.max(high))
    return box(spec, int(np.min(low)), max(highest, limit) if spec.name.startswith("step") and limit else highest)


def _action_space(spec: Any) -> Space:
    match type(spec).__name__:
        case "DiscreteArray":
            return Discrete(int(spec.num_values))
        case "MultiDiscreteArray" if np.ndim(spec.num_values) == 1:
            return MultiDiscrete(tuple(int(n) for n in spec.num_values))
        case "BoundedArray" if np.issubdtype(spec.dtype, np.floating):
            return Box(bound(spec.minimum), bound(spec.maximum), tuple(spec.shape))
    raise UsageError(f"jumanji actions {spec}: expected DiscreteArray, MultiDiscreteArray or BoundedArray of floats")
