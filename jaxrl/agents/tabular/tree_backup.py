"""n-step tree backup (Precup, Sutton and Singh 2000; Sutton and Barto 2018, section 7.5), pi the exploring policy.

G_k     = r_k + discount * (pi(a_{k+1} | s_{k+1}) G_{k+1} + sum_{a != a_{k+1}} pi(a | s_{k+1}) Q(s_{k+1}, a))
G_{t+n} = sum_a pi(a | s_{t+n}) Q(s_{t+n}, a)
Q(s, a) <- Q(s, a) + step * (G_t - Q(s, a))    for (s, a) = (s_t, a_t)

With a fixed exploration it learns the values of that policy; as exploration dies out, the optimal ones.
"""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl.agents.tabular import core, windows
from jaxrl.agents.tabular.core import State
from jaxrl.errors import at_least
from jaxrl.types import Agent, Array, Observation


@core.extend
class Config(NamedTuple):
    backup_steps: int = 4  # n


def tree_backup(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    at_least("backup_steps", config.backup_steps, 1)
    table, policy = core.shape("tree_backup", observation_space, action_space), core.exploring(config)

    def following(state: State, obs: Observation, action: Array) -> Array:
        return core.expected(policy, state, obs)

    def follow(state: State, steps: windows.Step) -> tuple[Array, Array]:
        chance = policy.probabilities(state, steps.obs)
        taken = jnp.take_along_axis(chance, steps.action[..., None], -1)[..., 0]
        return taken, core.expected(policy, state, steps.obs) - taken * state.values[windows.pair(steps)]

    update = windows.multi_step(windows.pair, following, functools.partial(core.expected, policy), follow)
    begin = functools.partial(windows.begin, config.backup_steps)
    return core.tabular(table, action_space, config, policy, update, begin)
