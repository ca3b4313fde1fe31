"""Environments as Gymnasium's vector. Importing this file imports gymnasium; `jaxrl.export` does it when asked."""

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector.utils import batch_space

from jaxrl.errors import UsageError
from jaxrl.export import checked_action, seen_space, with_goal
from jaxrl.for_gymnasium import checked_mode, metadata, new_key, to_host, to_space, world_of
from jaxrl.types import Environment, Tree
from jaxrl.vectorize import vectorize


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv):
    """N environments in one program, reset in the step that ends them; see `jaxrl.export.to_gymnasium_vector`."""

    def __init__(self, env: Environment, num_envs: int, render_mode: str | None = None) -> None:
        if env.num_agents is not None:
            raise UsageError(f"the environment has {env.num_agents} agents: expected one (to_pettingzoo takes several)")
        self.environment, self.num_envs, self._venv = env, num_envs, vectorize(env, num_envs)
        self.render_mode = checked_mode(env, render_mode)
        self.metadata = metadata(env) | {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        self._seen_space = seen_space(env)
        self._key: Any = None
        self._state: Any = None
        self.single_observation_space = to_space(self._seen_space)
        self.single_action_space = to_space(env.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reset, self._step = jax.jit(self._venv.reset), jax.jit(self._step_program)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """New episodes of all rows -> (obs [N, ...], info). One seed serves all of them."""
        if options and "reset_mask" in options:
            raise UsageError("reset_mask is for vectors without auto-reset: this one resets a row when it ends")
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            self._key = new_key(self.np_random)
        self._key, reset_key = jax.random.split(self._key)
        self._state, timestep = self._reset(reset_key, self._venv.params)
        info = {} if timestep.obs.legal is None else masked("action_mask", to_mask(timestep.obs.legal), True)
        return to_host(self._seen_space, with_goal(timestep.obs)), info

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """-> (obs, reward, terminated, truncated, info), each [N, ...]; info has final_obs where a row ended."""
        if self._state is None:
            raise UsageError("no episode is running: call reset() first")
        actions = checked_action(self.environment.action_space, actions, (self.num_envs,))
        self._key, self._state, timestep = self._step(self._key, self._state, actions, self._venv.params)
        terminated, truncated = np.array(timestep.terminated), np.array(timestep.truncated)
        ended = terminated | truncated
        obs = to_host(self._seen_space, with_goal(timestep.obs))
        statistics = ("episode_return", "episode_length")
        measures = {name: np.array(x) for name, x in timestep.info.items() if name not in statistics}
        info = {} if timestep.obs.legal is None else masked("action_mask", to_mask(timestep.obs.legal), True)
        for name, value in measures.items():  # those of a new episode's start are not known: it was no step
            info |= masked(name, value, ~ended)
        if ended.any():
            info |= self._final(timestep, ended, measures)
        return obs, np.array(timestep.reward), terminated, truncated, info

    def render(self) -> Any:
        """A picture uint8 [H, W, 3] of every row in the mode "rgb_array"."""
        if self.render_mode is None or self.environment.render is None:
            return None
        frames = jax.vmap(self.environment.render, (0, None))(self._state.state, self._venv.params)
        return tuple(np.array(frames))

    def _step_program(self, key: Any, state: Any, action: Any, params: Tree) -> tuple[Any, ...]:
        key, step_key = jax.random.split(key)
        return key, *self._venv.step(step_key, state, action, params)

    def _final(self, timestep: Any, ended: np.ndarray, measures: dict[str, np.ndarray]) -> dict[str, Any]:
        """What the rows that ended reached, as Gymnasium's own vectors tell it."""
        reached = to_host(self._seen_space, with_goal(timestep.final_obs))
        rows = np.full(self.num_envs, None, object)
        for row in np.flatnonzero(ended):
            rows[row] = jax.tree.map(lambda leaf: leaf[row], reached)  # noqa: B023 (used at once)
        final: dict[str, Any] = {}
        for name in ("episode_return", "episode_length"):
            final |= masked(name, np.array(timestep.info[name]), ended)
        for name, value in measures.items():
            final |= masked(name, value, ended)
        if timestep.final_obs.legal is not None:
            final |= masked("action_mask", to_mask(timestep.final_obs.legal), ended)
        return masked("final_obs", rows, ended) | masked("final_info", final, ended)


def make(world: str, num_envs: int, render_mode: str | None = None, **options: Any) -> Any:
    """What `gymnasium.make_vec("jaxrl/...", num_envs)` calls."""
    return GymnasiumVectorEnv(world_of(world, options), num_envs, render_mode)


def to_mask(legal: Any) -> np.ndarray:
    return np.array(legal, np.int8)


def masked(name: str, values: Any, where: Any) -> dict[str, Any]:
    """An entry of a vector's info: the values [N, ...] and `_name` [N], for which rows they are."""
    size = where.shape if isinstance(where, np.ndarray) else (len(values),)
    return {name: values, f"_{name}": np.broadcast_to(where, size).copy()}
