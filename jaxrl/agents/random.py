"""The agent that acts at random: uniform over the legal actions of any space. The baseline, and a source of data."""

from typing import Any, NamedTuple

import jax

from jaxrl import distributions, spaces
from jaxrl.types import Agent, Key, Rollout, Timestep, Tree


class Config(NamedTuple):
    """Nothing to choose."""


def random(action_space: Any, config: Config = Config()) -> Agent:
    def act(state: Tree, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        num_rows, legal = timestep.reward.shape[0], timestep.obs.legal
        if legal is not None and isinstance(action_space, spaces.Discrete):
            logits = distributions.masked(jax.numpy.zeros(legal.shape), legal)
            return jax.random.categorical(key, logits).astype(action_space.dtype), carry, ()
        keys = jax.random.split(key, num_rows)
        return jax.vmap(lambda k: spaces.sample(action_space, k))(keys), carry, ()

    def learn(state: Tree, key: Key, rollout: Rollout) -> tuple[Tree, dict[str, Any]]:
        return state, {}

    return Agent(lambda key, timestep: (), lambda n: (), act, learn)
