"""n-step Sarsa (Sutton and Barto 2018, section 7.2); Sarsa (Rummery and Niranjan 1994) where n is 1.

G       = r_t + ... + discount^(n-1) r_{t+n-1} + discount^n Q(s_{t+n}, a_{t+n})
Q(s, a) <- Q(s, a) + step * (G - Q(s, a))    for (s, a) = (s_t, a_t), when a_{t+n} is known or the episode ended

With a fixed exploration it learns the values of that policy; as exploration dies out, the optimal ones.
"""

import functools
from typing import Any, NamedTuple

from jaxrl.agents.tabular import core, windows
from jaxrl.agents.tabular.core import State
from jaxrl.errors import at_least
from jaxrl.types import Agent, Array, Observation


@core.extend
class Config(NamedTuple):
    backup_steps: int = 4  # n


def n_step_sarsa(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    at_least("backup_steps", config.backup_steps, 1)
    table, policy = core.shape("n_step_sarsa", observation_space, action_space), core.exploring(config)

    def following(state: State, obs: Observation, action: Array) -> Array:
        return state.values[obs.features, action]

    update = windows.multi_step(windows.pair, following, functools.partial(core.expected, policy))
    begin = functools.partial(windows.begin, config.backup_steps)
    return core.tabular(table, action_space, config, policy, update, begin)
