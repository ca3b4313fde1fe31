"""PettingZoo's parallel worlds as rows that step on the host: one row per agent."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.host_rows import HostRows, Statistics, first_timestep
from jaxrl.host_spaces import Layout, layout, observed, put, sent, to_mask
from jaxrl.types import Observation, Timestep, Tree


def pettingzoo_rows(worlds: Any) -> HostRows:
    """The agents of a PettingZoo `ParallelEnv`, or of a sequence of K alike, as K * A rows: world by world.

    An agent that is not there is a row that is not `valid`; a world starts anew in the step in which its last agent
    leaves.
    """
    rows = _PettingZooRows(list(worlds) if isinstance(worlds, Sequence) else [worlds])
    both = rows.layout.observation_space, rows.layout.action_space
    return HostRows(rows.reset, rows.step, *both, rows.num_rows, len(rows.worlds))


class _PettingZooRows:
    def __init__(self, worlds: list[Any]) -> None:
        if not worlds:
            raise UsageError("no world was given: expected at least one")
        self.worlds, self.agents = worlds, list(worlds[0].possible_agents)
        self.layout, self.num_rows = self._common_layout(), len(self.agents) * len(worlds)
        self.statistics, self.masked = Statistics(self.num_rows), False
        self.seen: Any = None  # Observation [N, ...]: what each row saw last

    def reset(self, seed: int) -> Timestep:
        shown = [world.reset(seed=seed + i) for i, world in enumerate(self.worlds)]
        self.masked = any("action_mask" in info for _, infos in shown for info in infos.values())
        self.seen = self._blank()
        for i, both in enumerate(shown):
            self.seen = self._put(self.seen, i, *both)
        return first_timestep(self.seen, self.statistics.start(), self.num_rows)

    def step(self, action: Tree) -> Timestep:
        if self.seen is None:
            raise UsageError("no episode is running: call reset(seed) first")
        actions, valid = sent(self.layout, action, self.num_rows), self._there()
        reward: Any = np.zeros(self.num_rows, np.float32)
        truncated, terminated = np.zeros_like(valid), ~valid
        over, reached = np.zeros_like(valid), self.seen
        for i, world in enumerate(self.worlds):
            acting = [(row, agent) for row, agent in self._rows(i) if valid[row]]
            obs, rewards, ended, cut, info = world.step({agent: actions[row] for row, agent in acting})
            for row, agent in acting:
                reward[row], truncated[row] = rewards[agent], cut[agent]
                # Who is gone without a word has terminated.
                terminated[row] = ended[agent] or (agent not in world.agents and not cut[agent])
            reached = self._put(reached, i, obs, info)
            over[[row for row, _ in self._rows(i)]] = not world.agents
        statistics = self.statistics.add(reward, valid, over)
        self.seen = reached
        for i, world in enumerate(self.worlds):
            if not world.agents:
                self.seen = self._put(self.seen, i, *world.reset())
        first = over | (self._there() & ~valid)
        return Timestep(self.seen, first, reward, terminated, truncated, valid, reached, statistics)

    def _rows(self, i: int) -> list[tuple[int, str]]:
        """(row, agent) of world i."""
        return [(i * len(self.agents) + j, agent) for j, agent in enumerate(self.agents)]

    def _there(self) -> Any:
        """bool [N]: agents that have not left."""
        return np.array([agent in world.agents for world in self.worlds for agent in self.agents])

    def _put(self, seen: Observation, i: int, obs: dict[str, Any], infos: dict[str, Any]) -> Observation:
        """A copy of seen [N, ...] with what the agents of world i are shown; the others' rows stay."""
        rows = [(row, agent) for row, agent in self._rows(i) if agent in obs]
        shown = [self._observe(obs[agent], infos.get(agent, {})) for _, agent in rows]
        if not rows:
            return seen
        return put(seen, np.array([row for row, _ in rows]), jax.tree.map(lambda *leaves: np.stack(leaves), *shown))

    def _observe(self, obs: Tree, info: dict[str, Any]) -> Observation:
        seen = observed(self.layout, obs)
        if not self.masked:
            return seen
        if "action_mask" not in info:
            raise UsageError("info has had an action_mask and has none now: expected one for every agent")
        return seen._replace(legal=to_mask(info["action_mask"]))

    def _blank(self) -> Observation:
        """What an agent is shown who is not there: zeros, every action legal."""
        zeros = jax.tree.map(
            lambda leaf: np.zeros((self.num_rows, *leaf.shape), leaf.dtype), self.layout.parts, is_leaf=spaces.is_space
        )
        seen = observed(self.layout, zeros)
        if self.masked or seen.legal is not None:
            seen = seen._replace(legal=to_mask(np.ones((self.num_rows, self.layout.action_space.n))))
        return seen

    def _common_layout(self) -> Layout:
        each = [layout(w.observation_space(a), w.action_space(a)) for w in self.worlds for a in self.agents]
        if any(other != each[0] for other in each):
            raise UsageError("the agents have spaces of several kinds: expected one for all (SuperSuit can pad them)")
        return each[0]
