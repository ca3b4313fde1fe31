"""Rows that step on the host, and the three auto-reset modes of Gymnasium's vectors as one stream of timesteps."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.errors import UsageError
from jaxrl.host_spaces import layout, observed, put, sent, to_mask
from jaxrl.types import Observation, Timestep, Tree


class HostRows(NamedTuple):
    """N rows that live on the host; leaves are numpy arrays."""

    reset: Callable[[int], Timestep]  # (seed) -> Timestep [N, ...]
    step: Callable[[Tree], Timestep]  # (action [N, ...]) -> Timestep [N, ...]
    observation_space: Any
    action_space: Any
    num_rows: int
    num_envs: int


class Statistics:
    """Return and length of each row's episode so far; of the whole episode on the step that ends it."""

    def __init__(self, num_rows: int) -> None:
        self.returns, self.lengths = np.zeros(num_rows), np.zeros(num_rows, np.int32)

    def start(self) -> dict[str, Any]:
        self.returns[:], self.lengths[:] = 0, 0
        return self.info()

    def add(self, reward: np.ndarray, valid: np.ndarray, over: np.ndarray) -> dict[str, Any]:
        """After a step; `over` are the rows whose episode it ended."""
        self.returns += np.where(valid, reward, 0)
        self.lengths += valid
        info = self.info()
        self.returns[over], self.lengths[over] = 0, 0
        return info

    def info(self) -> dict[str, Any]:
        return {"episode_return": self.returns.astype(np.float32), "episode_length": self.lengths.copy()}


def first_timestep(seen: Observation, statistics: dict[str, Any], num_rows: int) -> Timestep:
    never: Any = np.zeros(num_rows, bool)
    zero: Any = np.zeros(num_rows, np.float32)
    return Timestep(seen, ~never, zero, never, never, never, seen, statistics)


def gymnasium_rows(vector_env: Any, measures: Sequence[str] = ()) -> HostRows:
    """The rows of a `gymnasium.vector.VectorEnv` in any of its three auto-reset modes.

    SAME_STEP and DISABLED (where the rows that ended are reset from here) give a row its next episode's first
    observation at once. NEXT_STEP gives it one step later, in a step that ignores the action and is not `valid`.
    measures: names of its info whose values [N] are reported, such as "is_success".
    """
    rows = _GymnasiumRows(vector_env, tuple(measures))
    spaces = rows.layout.observation_space, rows.layout.action_space
    return HostRows(rows.reset, rows.step, *spaces, rows.num_rows, rows.num_rows)


def autoreset_mode(vector_env: Any) -> str:
    """NEXT_STEP, SAME_STEP or DISABLED, as the environments declare it."""
    mode = (getattr(vector_env, "metadata", None) or {}).get("autoreset_mode")
    name = getattr(mode, "name", str(mode))
    if name not in ("NEXT_STEP", "SAME_STEP", "DISABLED"):
        raise UsageError(
            f'the environments declare autoreset_mode {mode}: expected metadata["autoreset_mode"] to be a '
            "gymnasium.vector.AutoresetMode, as Gymnasium 1.1 and later have it"
        )
    return name


class _GymnasiumRows:
    def __init__(self, env: Any, measures: tuple[str, ...]) -> None:
        self.env, self.measures, self.mode = env, measures, autoreset_mode(env)
        self.layout = layout(env.single_observation_space, env.single_action_space)
        self.num_rows, self.statistics = int(env.num_envs), Statistics(int(env.num_envs))
        self.masked = False
        self.waiting: Any = None  # bool [N]: rows that the next step resets

    def reset(self, seed: int) -> Timestep:
        obs, info = self.env.reset(seed=seed)
        self.masked, self.waiting = "action_mask" in info, np.zeros(self.num_rows, bool)
        zeros = {name: np.zeros(self.num_rows, np.float32) for name in self.measures}
        return first_timestep(self._observe(obs, info), self.statistics.start() | zeros, self.num_rows)

    def step(self, action: Tree) -> Timestep:
        if self.waiting is None:
            raise UsageError("no episode is running: call reset(seed) first")
        obs, given, terminated, truncated, info = self.env.step(sent(self.layout, action, self.num_rows))
        opened, valid = self.waiting, ~self.waiting
        terminated, truncated = np.asarray(terminated, bool) & valid, np.asarray(truncated, bool) & valid
        reward: Any = np.where(valid, given, 0).astype(np.float32)
        ended = terminated | truncated
        seen = reached = self._observe(obs, info)
        measured = self._measure(info, ended)
        if self.mode == "NEXT_STEP":
            self.waiting = ended
        else:
            opened = ended
        if self.mode == "SAME_STEP" and ended.any():
            reached = self._final(seen, info, ended)
        if self.mode == "DISABLED" and ended.any():
            seen = self._restart(seen, ended)
        info = self.statistics.add(reward, valid, ended) | measured
        return Timestep(seen, opened, reward, terminated, truncated, valid, reached, info)

    def _observe(self, obs: Tree, info: dict[str, Any]) -> Observation:
        seen = observed(self.layout, obs)
        if not self.masked:
            return seen
        if "action_mask" not in info:
            raise UsageError("info has had an action_mask and has none now: expected one in every step")
        return seen._replace(legal=to_mask(info["action_mask"]))

    def _final(self, seen: Observation, info: dict[str, Any], ended: np.ndarray) -> Observation:
        """What was reached: final_obs where a row ended."""
        if "final_obs" not in info:
            raise UsageError("the environments reset in the same step, but give no final_obs in info: expected it")
        rows = np.flatnonzero(ended)
        each = [observed(self.layout, info["final_obs"][row]) for row in rows]
        reached: Observation = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
        if self.masked:
            reached = reached._replace(legal=to_mask(info["final_info"]["action_mask"])[rows])
        return put(seen, rows, reached)

    def _restart(self, reached: Observation, ended: np.ndarray) -> Observation:
        """What is seen once the rows that ended are reset."""
        obs, info = self.env.reset(options={"reset_mask": ended.copy()})
        rows, fresh = np.flatnonzero(ended), self._observe(obs, info)
        return put(reached, rows, jax.tree.map(lambda leaf: leaf[rows], fresh))

    def _measure(self, info: dict[str, Any], ended: np.ndarray) -> dict[str, Any]:
        """Of the transition itself: where the row ended in this very step, final_info has it."""
        final, zero = info.get("final_info", info), np.zeros(self.num_rows, np.float32)
        pairs = {name: (final.get(name, zero), info.get(name, zero)) for name in self.measures}
        return {name: np.where(ended, *pair).astype(np.float32) for name, pair in pairs.items()}
