"""Expected Sarsa (van Seijen et al. 2009), with pi the exploring policy.

Q(s, a) <- Q(s, a) + step * (r + discount * sum_a' pi(a' | s') Q(s', a') - Q(s, a))

With a fixed exploration it learns the values of that policy; as exploration dies out, the optimal ones.
"""

from typing import Any, NamedTuple

from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Key, Transition


@core.extend
class Config(NamedTuple):
    """Nothing of its own."""


def expected_sarsa(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table, policy = core.shape("expected_sarsa", observation_space, action_space), core.exploring(config)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        return core.one_step(state, t, core.expected(policy, state, t.next_obs))

    return core.tabular(table, action_space, config, policy, update)
