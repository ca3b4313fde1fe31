"""TD(lambda) with eligibility traces e (Sutton 1988): the values V of a policy that is given.

delta = r + discount * V(s') - V(s)
e     <- discount * trace_decay * e, with 1 added (or in its place) at s
V     <- V + step * delta * e
"""

import functools
from typing import Any, NamedTuple

from jaxrl.agents.tabular import core, traces
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Key, Transition


class Config(NamedTuple):
    trace_decay: float = 0.9  # lambda
    traces: str = "accumulating"  # or "replacing"
    learning_rate: float = 0.1
    learning_rate_decay: float = 0.0  # the step is learning_rate / (1 + this * visits)
    discount: float = 0.99
    initial_value: float = 0.0


def td_lambda(observation_space: Any, action_space: Any, config: Config = Config(), policy: Any = None) -> Agent:
    """The policy: probabilities [S, A]; without it, any legal action alike."""
    table = core.shape("td_lambda", observation_space, action_space)[:1]

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        following = state.values[t.next_obs.features]
        return traces.one_step(state, state.memory, t, (t.obs.features,), following, config.traces)

    acting = core.given(action_space.n, policy)
    begin = functools.partial(traces.begin, table, config.traces)
    return core.tabular(table, action_space, config, acting, update, begin)
