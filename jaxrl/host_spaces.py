"""What Gymnasium's and PettingZoo's environments show and take, as ours: spaces, observations, actions.

They are read through their attributes, so neither library is imported here.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl import spaces
from jaxrl.compat import bound
from jaxrl.errors import UsageError
from jaxrl.export import checked_action
from jaxrl.types import Observation, Tree

GOAL = {"observation": "features", "desired_goal": "goal", "achieved_goal": "achieved"}  # as in Gymnasium-Robotics
MASKED = {"observation": "features", "action_mask": "legal"}  # as in PettingZoo's board games


class Layout(NamedTuple):
    """How one row's observations and actions are laid out."""

    observation_space: Any  # our space of the features
    action_space: Any
    fields: Any  # {name there: field of Observation} where an observation is a dict of them, else None
    parts: Any  # our space of all that is shown
    action_dtype: Any


def layout(observation_space: Any, action_space: Any) -> Layout:
    """The layout of the spaces of one row, which are Gymnasium's."""
    names = set(getattr(observation_space, "spaces", ()) if _kind(observation_space) == "Dict" else ())
    fields = next((each for each in (GOAL, MASKED) if names == set(each)), None)
    parts, actions = from_space(observation_space), from_space(action_space)
    if not spaces.is_space(actions):
        raise UsageError(f"action space {action_space}: expected Discrete, MultiDiscrete, MultiBinary or Box")
    return Layout(parts["observation"] if fields else parts, actions, fields, parts, action_space.dtype)


def from_space(space: Any) -> Tree:
    """Gymnasium's space as ours: a Dict is a dict of spaces, a Tuple a tuple; numbers have 32 bits at most."""
    match _kind(space):
        case "Discrete" if int(space.start) == 0:
            return spaces.Discrete(int(space.n))
        case "MultiDiscrete" if np.ndim(space.nvec) == 1 and not np.any(space.start):
            return spaces.MultiDiscrete(tuple(int(n) for n in space.nvec))
        case "MultiBinary" if len(space.shape) == 1:
            return spaces.MultiDiscrete((2,) * space.shape[0])
        case "Box":
            return spaces.Box(*_bounds(space), tuple(space.shape), _narrow(space.dtype))
        case "Dict":
            return {name: from_space(each) for name, each in space.spaces.items()}
        case "Tuple":
            return tuple(from_space(each) for each in space.spaces)
    known = "Box, Discrete, MultiDiscrete or MultiBinary that count from 0, or a Dict or Tuple of them"
    raise UsageError(f"space {space}: expected {known}")


def observed(layout: Layout, obs: Tree) -> Observation:
    """What an environment shows (leaves [...]) as an Observation of numpy arrays of its own."""
    own = jax.tree.map(lambda leaf, x: np.array(x, leaf.dtype), layout.parts, obs, is_leaf=spaces.is_space)
    if layout.fields is None:
        return Observation(own)
    seen = Observation(**{field: own[name] for name, field in layout.fields.items()})
    return seen if seen.legal is None else seen._replace(legal=to_mask(seen.legal))


def to_mask(legal: Any) -> Any:
    """bool [..., n] from the int8 of Gymnasium and PettingZoo."""
    return np.array(legal, bool)


def sent(layout: Layout, action: Tree, num_rows: int) -> np.ndarray:
    """Our actions [N, ...], checked, in the dtype that the environment takes."""
    return checked_action(layout.action_space, action, (num_rows,)).astype(layout.action_dtype)


def put(whole: Tree, rows: np.ndarray, parts: Tree) -> Tree:
    """A copy of whole [N, ...] with parts [len(rows), ...] in these rows."""

    def write(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        copy = old.copy()
        copy[rows] = new
        return copy

    return jax.tree.map(write, whole, parts)


def _kind(space: Any) -> str:
    """The name of the class of Gymnasium's own that a space is of."""
    names = [each.__name__ for each in type(space).__mro__ if each.__module__.startswith("gymnasium.spaces")]
    return names[0] if names else ""


def _narrow(dtype: Any) -> Any:
    wide = {"float64": np.float32, "float16": np.float32, "int64": np.int32, "uint64": np.uint32}
    return wide.get(np.dtype(dtype).name, np.dtype(dtype).type)


def _bounds(space: Any) -> tuple[Any, Any]:
    """Bounds of floats as they are for gymnax; those of integers within the narrower type."""
    if np.issubdtype(space.dtype, np.floating):
        return bound(space.low), bound(space.high)
    limits = np.iinfo(_narrow(space.dtype)) if np.dtype(space.dtype) != bool else None
    both = [np.clip(x, limits.min, limits.max) if limits else x for x in (space.low, space.high)]
    low, high = (int(x.flat[0]) if np.all(x == x.flat[0]) else _nested(x.tolist()) for x in both)
    return low, high


def _nested(value: Any) -> Any:
    return tuple(_nested(each) for each in value) if isinstance(value, list) else value
