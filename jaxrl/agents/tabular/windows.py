"""Methods of n steps: each row's last n transitions wait in the agent's memory until what follows them is known.

A transition is learnt from n steps later, when the next action is known too, so that every method sees the same:

    G_k = r_k + discount * (carried_{k+1} * G_{k+1} + known_{k+1}),    G of the newest = r + discount * following

Where an episode ends all that wait are learnt from, the oldest first: nothing follows a termination, and the expected
value under the policy follows a truncation, since no action was taken there.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.tabular import core
from jaxrl.agents.tabular.core import State
from jaxrl.statistics import Mean
from jaxrl.types import Array, Key, Observation, Timestep, Transition


class Step(NamedTuple):
    obs: Observation
    action: Array
    reward: Array


class Window(NamedTuple):
    steps: Step  # [n, N] the oldest first
    waits: Array  # bool [n, N] not learnt from yet; what lies before an episode's start never does


def pair(step: Step) -> tuple[Array, Array]:
    """Where Q(s, a) lies."""
    return step.obs.features, step.action


def state_of(step: Step) -> tuple[Array]:
    """Where V(s) lies."""
    return (step.obs.features,)


def begin(num_steps: int, timestep: Timestep) -> Window:
    """An empty window for the rows of a first timestep [N]."""
    none = jnp.zeros(timestep.reward.shape, bool)
    steps = Step(timestep.obs, none.astype(jnp.int32), timestep.reward)
    return Window(*jax.tree.map(lambda x: jnp.zeros((num_steps, *x.shape), x.dtype), (steps, none)))


def multi_step(
    index: Callable[[Step], tuple[Array, ...]],
    following: Callable[[State, Observation, Array], Array],
    expected: Callable[[State, Observation], Array],
    follow: Callable[[State, Step], tuple[Array, Array]] = lambda state, steps: (jnp.ones(()), jnp.zeros(())),
) -> core.Update:
    """The update of a method, from where a step [N] lies in the table, and what is worth what.

    following (state, obs, action): what obs [N] and the action there are worth; expected (state, obs): an obs alone.
    follow (state, steps [n, N]): (carried, known), broadcast to [n, N].
    """

    def returns(state: State, steps: Step, last: Array) -> Array:
        """G [n, N] of all steps, where last [N] follows the newest."""
        carried, known = (jnp.broadcast_to(x, steps.reward.shape) for x in follow(state, steps))

        def back(later: Array, step: tuple[Array, ...]) -> tuple[Array, Array]:
            reward, carried, known = step
            total = reward + state.config.discount * later
            return carried * total + known, total

        return jax.lax.scan(back, last, (steps.reward, carried, known), reverse=True)[1]

    def move(state: State, step: Step, target: Array, weight: Array) -> tuple[State, Mean]:
        where = index(step)
        return core.move(state, where, target - state.values[where], weight)

    def update(state: State, key: Key, t: Transition) -> tuple[State, Mean]:
        steps, waits = state.memory
        oldest = jax.tree.map(lambda x: x[0], steps)
        full = returns(state, steps, following(state, t.obs, t.action))[0]
        state, error = move(state, oldest, full, waits[0] & t.valid)
        new = Step(t.obs, t.action.astype(steps.action.dtype), t.reward), t.valid
        steps, waits = jax.tree.map(lambda old, x: jnp.concatenate([old[1:], x[None]]), (steps, waits), new)
        waits = waits & t.valid  # a row that is not valid has ended before, so that nothing waits there
        targets = returns(state, steps, jnp.where(t.terminated, 0, expected(state, t.next_obs)))

        def settle(k: Array, before: tuple[State, Mean]) -> tuple[State, Mean]:
            state, error = before
            state, more = move(state, jax.tree.map(lambda x: x[k], steps), targets[k], waits[k] & t.ended)
            return state, jax.tree.map(jnp.add, error, more)

        count = jnp.where(jnp.any(t.ended), len(waits), 0)
        state, error = jax.lax.fori_loop(0, count, settle, (state, error))
        return state._replace(memory=Window(steps, waits & ~t.ended)), error

    return update
