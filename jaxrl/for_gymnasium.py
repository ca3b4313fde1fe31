"""An environment as Gymnasium's. Importing this file imports gymnasium; `jaxrl.export` does it when asked."""

import functools
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import numpy as np

from jaxrl import spaces
from jaxrl.envs import registry
from jaxrl.envs.gridworld import valid_actions
from jaxrl.errors import UsageError
from jaxrl.export import checked_action, programs, seen_space
from jaxrl.types import Environment, Tree

FRAMES_PER_SECOND = 4


class GymnasiumEnv(gymnasium.Env):
    """One environment of one agent; see `jaxrl.export.to_gymnasium`."""

    def __init__(
        self, env: Environment, params: Tree, render_mode: str | None = None, meanings: Sequence[str] | None = None
    ) -> None:
        if env.num_agents is not None:
            raise UsageError(f"the environment has {env.num_agents} agents: expected one (to_pettingzoo takes several)")
        self._meanings = meanings
        self.environment, self.params, self.programs = env, params, programs(env)
        self.metadata, self.render_mode = metadata(env), checked_mode(env, render_mode)
        self._seen_space = seen_space(env)
        self.observation_space, self.action_space = to_space(self._seen_space), to_space(env.action_space)
        self._key: Any = None
        self._state: Any = None
        self._steps, self._running = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new episode -> (obs, info). A seed starts the stream of random numbers anew."""
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            self._key = new_key(self.np_random)
        self._key, self._state, seen = self.programs.reset(self._key, self.params)
        self._steps, self._running = 0, True
        return self._shown(seen)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """-> (obs, reward, terminated, truncated, info)."""
        if not self._running:
            raise UsageError("no episode is running: call reset() first")
        action = checked_action(self.environment.action_space, action)
        self._key, self._state, seen, reward, terminated = self.programs.step(
            self._key, self._state, action, self.params
        )
        self._steps += 1
        ended, limit = bool(terminated), self.environment.max_steps
        truncated = limit is not None and self._steps >= limit
        self._running = not (ended or truncated)
        obs, info = self._shown(seen)
        return obs, float(reward), ended, truncated, info

    def render(self) -> Any:
        """uint8 [H, W, 3] in the mode "rgb_array"."""
        if self.render_mode is None or self.programs.render is None:
            return None
        return np.array(self.programs.render(self._state, self.params))

    def get_valid_actions(self) -> list[int]:
        """The legal actions in this state; of a world without masks but with tables, those that change the state."""
        if not self._running:
            raise UsageError("no episode is running: call reset() first")
        env, space = self.environment, self.environment.action_space
        if not isinstance(space, spaces.Discrete):
            raise UsageError(f"the actions of {space} cannot be listed: expected Discrete")
        if env.legal_actions is not None:
            return np.flatnonzero(np.asarray(env.legal_actions(self._state, self.params))).tolist()
        if env.model is not None and np.shape(self._state) == ():
            return valid_actions(env, int(self._state))
        return list(range(space.n))

    def get_action_meanings(self) -> list[str]:
        """What each action is called."""
        if self._meanings is None:
            raise UsageError("this world has no names for its actions: give action_meanings to to_gymnasium")
        return list(self._meanings)

    def _shown(self, seen: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = seen
        return to_host(self._seen_space, obs), {name: to_info(value) for name, value in info.items()}


def make(world: str, render_mode: str | None = None, **options: Any) -> gymnasium.Env:
    """What `gymnasium.make("jaxrl/...")` calls; options are those of the world's constructor."""
    env, meanings = world_of(world, options), sys.modules[registry.CONSTRUCTORS[world].__module__]
    return GymnasiumEnv(env, env.params, render_mode, getattr(meanings, "ACTION_MEANINGS", None))


def world_of(name: str, options: dict[str, Any]) -> Environment:
    try:
        hash(tuple(options.values()))
    except TypeError:
        return registry.make(name, **options)
    return _cached(name, tuple(sorted(options.items())))


@functools.lru_cache(maxsize=128)
def _cached(name: str, options: tuple[tuple[str, Any], ...]) -> Environment:
    """The same functions for the same world, so that copies of it are compiled once."""
    return registry.make(name, **dict(options))


def to_space(space: Tree) -> gymnasium.Space:
    """Our space as Gymnasium's; a dict of spaces becomes a Dict, a tuple or list a Tuple."""
    if isinstance(space, dict):
        return gymnasium.spaces.Dict({name: to_space(each) for name, each in space.items()})
    if isinstance(space, spaces.Discrete):
        return gymnasium.spaces.Discrete(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return gymnasium.spaces.MultiDiscrete(space.sizes)
    if isinstance(space, spaces.Box):
        return gymnasium.spaces.Box(*space.bounds(), space.shape, space.dtype)
    if isinstance(space, tuple | list):
        return gymnasium.spaces.Tuple([to_space(each) for each in space])
    raise UsageError(f"the space {space} has no counterpart in Gymnasium: expected Discrete, MultiDiscrete or Box")


def to_host(space: Tree, obs: Tree) -> Tree:
    """obs (leaves [*batch, *shape]) as numpy arrays of their own, of the dtypes of `to_space`."""

    def convert(leaf: Any, value: Any) -> Any:
        array = np.array(value, leaf.dtype if isinstance(leaf, spaces.Box) else np.int64)
        return array[()] if array.ndim == 0 and not isinstance(leaf, spaces.Box) else array

    return jax.tree.map(convert, space, obs, is_leaf=spaces.is_space)


def to_info(value: Any) -> Any:
    array = np.array(value)
    return array.item() if array.ndim == 0 else array


def metadata(env: Environment) -> dict[str, Any]:
    return {"render_modes": ["rgb_array"] if env.render else [], "render_fps": FRAMES_PER_SECOND}


def checked_mode(env: Environment, render_mode: str | None) -> str | None:
    if render_mode not in (None, *metadata(env)["render_modes"]):
        known = "None or 'rgb_array'" if env.render else "None: this environment cannot be drawn"
        raise UsageError(f"render_mode is {render_mode!r}: expected {known}")
    return render_mode


def new_key(np_random: np.random.Generator) -> Any:
    return jax.random.key(int(np_random.integers(2**31)))
