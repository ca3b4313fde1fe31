"""Worlds of several agents as PettingZoo's class. Importing this file imports pettingzoo; `jaxrl.export` does it."""

from typing import Any

import jax
import numpy as np
import pettingzoo

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.export import checked_action, programs, seen_space
from jaxrl.for_gymnasium import checked_mode, metadata, new_key, to_host, to_info, to_space
from jaxrl.types import Environment, Tree

Answers = dict[str, Any]  # by agent


class PettingZooEnv(pettingzoo.ParallelEnv):
    """A world of A agents, "agent_0" to "agent_{A-1}"; see `jaxrl.export.to_pettingzoo`."""

    def __init__(self, env: Environment, params: Tree, render_mode: str | None = None) -> None:
        if env.num_agents is None:
            raise UsageError("the environment has one agent: expected several (to_gymnasium takes one)")
        self.environment, self.params, self.programs = env, params, programs(env)
        self.metadata = metadata(env) | {"name": "jaxrl", "is_parallelizable": True}
        self.render_mode = checked_mode(env, render_mode)
        self._seen_space = seen_space(env)
        self.possible_agents = [f"agent_{i}" for i in range(env.num_agents)]
        self.agents: list[str] = []
        self.observation_spaces = {agent: to_space(self._seen_space) for agent in self.possible_agents}
        self.action_spaces = {agent: to_space(env.action_space) for agent in self.possible_agents}
        self._np_random, self._key, self._state, self._steps = np.random.default_rng(), None, None, 0
        # What stands for the action of an agent who has left.
        self._idle = jax.tree.map(
            lambda leaf: np.zeros(leaf.shape, leaf.dtype), env.action_space, is_leaf=spaces.is_space
        )

    def observation_space(self, agent: str) -> Any:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Answers, Answers]:
        """A new episode with all agents -> (obs, info) by agent. A seed starts the stream of random numbers anew."""
        if seed is not None:
            self._np_random = np.random.default_rng(seed)
        if seed is not None or self._key is None:
            self._key = new_key(self._np_random)
        self._key, self._state, seen = self.programs.reset(self._key, self.params)
        self.agents, self._steps = list(self.possible_agents), 0
        return self._shown(seen, self.agents)

    def step(self, actions: Answers) -> tuple[Answers, Answers, Answers, Answers, Answers]:
        """actions by agent -> (obs, reward, terminated, truncated, info) by agent, of those who have acted."""
        acting = self.agents
        if not acting:
            raise UsageError("no episode is running: call reset() first")
        if set(actions) != set(acting):
            raise UsageError(f"actions are for {sorted(actions)}: expected one for each of {acting}")
        space = self.environment.action_space
        each = [checked_action(space, actions[a]) if a in actions else self._idle for a in self.possible_agents]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
        self._key, self._state, seen, reward, terminated = self.programs.step(
            self._key, self._state, stacked, self.params
        )
        self._steps += 1
        limit = self.environment.max_steps is not None and self._steps >= self.environment.max_steps
        rewards, ended = self._by_agent(np.array(reward), acting), self._by_agent(np.array(terminated), acting)
        truncated = dict.fromkeys(acting, limit)
        self.agents = [agent for agent in acting if not (ended[agent] or limit)]
        obs, info = self._shown(seen, acting)
        return obs, rewards, ended, truncated, info

    def render(self) -> Any:
        """uint8 [H, W, 3] in the mode "rgb_array"."""
        if self.render_mode is None or self.programs.render is None:
            return None
        return np.array(self.programs.render(self._state, self.params))

    def close(self) -> None:
        """Nothing is held open."""

    def _by_agent(self, values: np.ndarray, agents: list[str]) -> Answers:
        return {agent: values[self.possible_agents.index(agent)].item() for agent in agents}

    def _shown(self, seen: Any, agents: list[str]) -> tuple[Answers, Answers]:
        """The agents' own rows of obs [A, ...]; in info their own rows, and the world's numbers for each."""
        obs, info = to_host(self._seen_space, seen[0]), {name: np.array(value) for name, value in seen[1].items()}
        count = len(self.possible_agents)
        index = {agent: self.possible_agents.index(agent) for agent in agents}
        rows = {agent: jax.tree.map(lambda x, i=i: x[i], obs) for agent, i in index.items()}
        own = {
            agent: {name: to_info(x[i] if x.shape[:1] == (count,) else x) for name, x in info.items()}
            for agent, i in index.items()
        }
        return rows, own
