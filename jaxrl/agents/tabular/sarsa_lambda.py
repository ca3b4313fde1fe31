"""Sarsa(lambda) with eligibility traces e (Rummery and Niranjan 1994; Singh and Sutton 1996).

delta = r_t + discount * Q(s_{t+1}, a_{t+1}) - Q(s_t, a_t)
e     <- discount * trace_decay * e, with 1 added (or in its place) at (s_t, a_t)
Q     <- Q + step * delta * e    when a_{t+1} is known, or the episode ended

Where an episode was cut, the expected value under the policy stands for the action that was not taken. With a fixed
exploration it learns the values of that policy; as exploration dies out, the optimal ones.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.agents.tabular import core, traces, windows
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Key, Timestep, Transition


@core.extend
class Config(NamedTuple):
    trace_decay: float = 0.9  # lambda
    traces: str = "accumulating"  # or "replacing"


def sarsa_lambda(observation_space: Any, action_space: Any, config: Any = Config()) -> Agent:
    table, policy = core.shape("sarsa_lambda", observation_space, action_space), core.exploring(config)

    def remember(timestep: Timestep) -> Any:
        return traces.begin(table, config.traces, timestep), windows.begin(1, timestep)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        eligible, (steps, waits) = state.memory
        last, here = (steps.obs.features[0], steps.action[0]), (t.obs.features, t.action)
        discount, waited = state.config.discount, waits[0] & t.valid
        target = steps.reward[0] + discount * state.values[here]
        state, error = traces.move(state, eligible, target - state.values[last], waited)
        faded = discount * state.config.trace_decay * eligible
        state, eligible = traces.visit(state, faded, here, t.valid, config.traces)

        def end(_: Any, before: tuple[State, Mean]) -> tuple[State, Mean]:
            state, error = before
            last = t.reward + discount * jnp.where(t.terminated, 0, core.expected(policy, state, t.next_obs))
            state, more = traces.move(state, eligible, last - state.values[here], t.ended)
            return state, jax.tree.map(jnp.add, error, more)

        state, error = jax.lax.fori_loop(0, jnp.any(t.ended).astype(jnp.int32), end, (state, error))
        goes_on = t.valid & ~t.ended
        step = windows.Step(t.obs, t.action.astype(steps.action.dtype), t.reward)
        window = jax.tree.map(lambda x: x[None], windows.Window(step, goes_on))
        return state._replace(memory=(trees.where(goes_on, eligible, jnp.zeros_like(eligible)), window)), error

    return core.tabular(table, action_space, config, policy, update, remember)
