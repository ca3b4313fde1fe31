"""Q-learning (Watkins 1989).

Q(s, a) <- Q(s, a) + step * (r + discount * max_a' Q(s', a') - Q(s, a))
"""

from typing import Any, NamedTuple

from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.distributions import masked
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Key, Transition


@core.extend
class Config(NamedTuple):
    """Nothing of its own."""


def q_learning(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table = core.shape("q_learning", observation_space, action_space)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        best = masked(state.values[t.next_obs.features], t.next_obs.legal).max(-1)
        return core.one_step(state, t, best)

    return core.tabular(table, action_space, config, core.exploring(config), update)
