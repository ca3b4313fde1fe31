"""n-step TD prediction (Sutton and Barto 2018, section 7.1): the values V of a policy that is given; TD(0) is n = 1.

V(s_t) <- V(s_t) + step * (r_t + ... + discount^(n-1) r_{t+n-1} + discount^n V(s_{t+n}) - V(s_t))
"""

import functools
from typing import Any, NamedTuple

from jaxrl.agents.tabular import core, windows
from jaxrl.agents.tabular.core import State
from jaxrl.errors import at_least
from jaxrl.types import Agent, Array, Observation


class Config(NamedTuple):
    backup_steps: int = 1  # n
    learning_rate: float = 0.1
    learning_rate_decay: float = 0.0  # the step is learning_rate / (1 + this * visits)
    discount: float = 0.99
    initial_value: float = 0.0


def td_prediction(observation_space: Any, action_space: Any, config: Config = Config(), policy: Any = None) -> Agent:
    """The policy: probabilities [S, A]; without it, any legal action alike."""
    at_least("backup_steps", config.backup_steps, 1)
    table = core.shape("td_prediction", observation_space, action_space)[:1]

    def value(state: State, obs: Observation, action: Array | None = None) -> Array:
        return state.values[obs.features]

    update = windows.multi_step(windows.state_of, value, value)
    begin = functools.partial(windows.begin, config.backup_steps)
    return core.tabular(table, action_space, config, core.given(action_space.n, policy), update, begin)
