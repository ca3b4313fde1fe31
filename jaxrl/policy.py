"""A trained agent as a function from observations to greedy actions."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.types import Agent, Environment, Observation, Tree
from jaxrl.vectorize import vectorize


class Policy:
    """policy(obs) -> action: greedy, from raw observations, one or a batch [N, ...]; gives numpy arrays back.

    That of a team takes the observations of all its agents, [A, ...] or [N, A, ...], and gives all their actions.

    A recurrent policy remembers: call `reset()` where an episode begins, or give `first` [N] in a batch.
    """

    def __init__(
        self, agent: Agent, environment: Environment, adapt: Callable[[Environment], Environment], agent_state: Tree
    ) -> None:
        """`adapt` is what stood between the environment and the agent in training."""
        self.environment, self._agent, self._state = environment, agent, agent_state
        self._team = () if environment.num_agents is None else (environment.num_agents,)
        self._adapted = adapt(environment)
        # An environment whose reset hands back what it is given: adapted, it encodes raw observations.
        self._encode = adapt(environment._replace(reset=lambda obs, params: ((), obs))).reset
        self._act = jax.jit(self._greedy)
        self.reset()

    def reset(self) -> None:
        """Forget: the next observation opens an episode."""
        self._carry, self._blank, self._rows = None, None, 0

    def __call__(self, obs: Tree, legal: Any = None, first: Any = None) -> Any:
        """Greedy actions for obs (features, or an Observation); `legal` [..., n] where the world masks actions."""
        obs = obs if isinstance(obs, Observation) else Observation(obs, legal)
        if obs.legal is None and self.environment.legal_actions is not None:
            raise UsageError("this environment masks actions: give legal, one truth value per action")
        spaces.refuse_none_legal(self.environment.action_space, obs.legal)
        features, single = self._batch(obs.features)
        others = jax.tree.map(lambda x: jnp.asarray(x)[None] if single else jnp.asarray(x), obs._replace(features=()))
        rows = jax.tree.leaves(features)[0].shape[0]
        if rows != self._rows:
            carry = self._agent.begin(math.prod((rows, *self._team)))
            self._carry, self._blank, self._rows = carry, self._timestep(rows), rows
            first = True if first is None else first
        begins = jnp.broadcast_to(jnp.asarray(False if first is None else first), (rows,))
        begins = jnp.broadcast_to(begins.reshape(-1, *[1] * len(self._team)), (rows, *self._team))
        observed = others._replace(features=features)
        action, self._carry = self._act(self._state, self._carry, self._blank, observed, begins)
        return jax.tree.map(lambda x: np.asarray(x)[0] if single else np.asarray(x), action)

    def _greedy(self, state: Tree, carry: Tree, blank: Any, obs: Observation, first: Any) -> tuple[Tree, Tree]:
        obs = jax.vmap(lambda one: self._encode(one, ())[1])(obs)
        timestep = blank._replace(obs=obs, final_obs=obs, first=first)
        return self._agent.act(state, jax.random.key(0), carry, timestep, False)[:2]

    def _batch(self, features: Tree) -> tuple[Tree, bool]:
        """Features, one or a batch -> a batch of the space's shapes and dtypes, and whether it was a single one."""
        space = self.environment.observation_space
        try:
            arrays = jax.tree.map(lambda kind, x: np.asarray(x, kind.dtype), space, features, is_leaf=spaces.is_space)
            pairs = list(zip(jax.tree.leaves(space, is_leaf=spaces.is_space), jax.tree.leaves(arrays), strict=True))
            single = pairs[0][1].ndim == len(self._team) + len(pairs[0][0].shape)
            fits = all(array.shape[0 if single else 1 :] == (*self._team, *kind.shape) for kind, array in pairs)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise UsageError(f"the observation does not fit the environment's space, {space}")
        return jax.tree.map(lambda array: array[None], arrays) if single else arrays, single

    def _timestep(self, rows: int) -> Any:
        venv = vectorize(self._adapted, rows)
        shapes = jax.eval_shape(lambda key: venv.reset(key, venv.params)[1], jax.random.key(0))
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
