"""What tabular agents share: a table of values with its visits, exploration, and how rows move one entry together.

An agent is its `update` (state, key, transition [N]) -> (state, error), which `learn` scans over time. Whatever else it
remembers (a window, traces, a model) lies in `State.memory`, so how a run is cut into rollouts changes nothing.

    entry <- entry + step * error,    step = learning_rate / (1 + learning_rate_decay * visits)

The m rows that meet an entry in one step move it by their mean error as m updates in a row towards one target would.
"""

import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import spaces, trees
from jaxrl.agents import rollouts
from jaxrl.agents.tabular import exploration
from jaxrl.distributions import masked
from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Observation, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    learning_rate: float = 0.5
    learning_rate_decay: float = 0.0  # 0: a constant step; 1 - discount: the fastest to converge (Wainwright 2019)
    discount: float = 0.99
    initial_value: float = 0.0  # optimistic where it exceeds the true values
    exploration: str = "epsilon_greedy"  # or "boltzmann", "ucb", "count_bonus"
    ties: str = "first"  # of equal values the first is chosen, or a "random" one
    epsilon: float = 0.1
    exploration_decay: float = 0.0  # epsilon and temperature are divided by 1 + this * visits to the state
    temperature: float = 1.0  # of "boltzmann"
    bonus: float = 1.0  # of "ucb" and "count_bonus"


class State(NamedTuple):
    values: Array  # float [S, A]; [2, S, A] where two tables are averaged; [S] of a policy that is given
    visits: Array  # float, shaped like values
    config: Any  # the traced hyper-parameters
    memory: Tree  # what the method keeps beside the table


class Policy(NamedTuple):
    """How an agent acts, on obs [N]."""

    probabilities: Callable[[State, Observation], Array]  # -> [N, A], exploration included
    sample: Callable[[Key, State, Observation], Array]  # -> int [N], with these probabilities
    greedy: Callable[[State, Observation], Array]  # -> int [N]
    bonus: Callable[..., Array] | None = None  # (visits [N], hyper) -> what the rewards are raised by


Update = Callable[[State, Key, Transition], tuple[State, Mean]]


def extend(own: Any) -> Any:
    """A decorator: a NamedTuple with the fields of `Config` behind its own, whose defaults count."""
    hints = typing.get_type_hints(own) | typing.get_type_hints(Config)
    body = {"__annotations__": hints, "__module__": own.__module__, "__doc__": own.__doc__}
    body |= Config._field_defaults | own._field_defaults
    return types.new_class(own.__name__, (NamedTuple,), {}, lambda namespace: namespace.update(body))


def shape(name: str, observation_space: Any, action_space: Any) -> tuple[int, int]:
    """(S, A) of the table of the agent of that name."""
    if not isinstance(observation_space, spaces.Discrete) or not isinstance(action_space, spaces.Discrete):
        raise UsageError(f"{name} needs discrete spaces, got {observation_space} and {action_space}")
    return observation_space.n, action_space.n


def look_up(state: State, obs: Observation) -> exploration.Seen:
    """What the table [S, A] says of the states that obs [...] are; of two tables, their mean and their joint visits."""
    values, visits = state.values[..., obs.features, :], state.visits[..., obs.features, :]
    times = state.visits.sum(-1)[..., obs.features]  # (of all states, because that does not change in a rollout)
    if state.values.ndim == 2:
        return exploration.Seen(values, visits, times)
    return exploration.Seen(values.mean(0), visits.sum(0), times.sum(0))


def exploring(config: Any) -> Policy:
    """The policy that follows the values, and explores as the config says."""
    way = exploration.exploration(config.exploration, config.ties)

    def probabilities(state: State, obs: Observation) -> Array:
        return way.probabilities(look_up(state, obs), obs.legal, state.config)

    def greedy(state: State, obs: Observation) -> Array:
        return jnp.argmax(masked(look_up(state, obs).values, obs.legal), -1)

    def sample(key: Key, state: State, obs: Observation) -> Array:
        return way.sample(key, look_up(state, obs), obs.legal, state.config)

    return Policy(probabilities, sample, greedy, way.bonus)


def given(num_actions: int, table: Any = None) -> Policy:
    """A policy that stays as it is: its probabilities [S, A], of legal actions only; without them all are alike."""

    def probabilities(state: State, obs: Observation) -> Array:
        rows = obs.features.shape
        chances = jnp.ones((*rows, num_actions)) if table is None else jnp.asarray(table, jnp.float32)[obs.features]
        chances = chances if obs.legal is None else jnp.where(obs.legal, chances, 0)
        return chances / chances.sum(-1, keepdims=True)

    return Policy(
        probabilities,
        lambda key, state, obs: exploration.draw(key, probabilities(state, obs)),
        lambda state, obs: jnp.argmax(probabilities(state, obs), -1),
    )


def expected(policy: Policy, state: State, obs: Observation) -> Array:
    """What the states obs [N] are worth under the exploring policy: -> [N]."""
    probabilities = policy.probabilities(state, obs)
    return jnp.sum(jnp.where(probabilities > 0, probabilities * look_up(state, obs).values, 0), -1)


def move(state: State, index: Any, error: Array, weight: Array) -> tuple[State, Mean]:
    """Move the entries at `index` (a tuple of int [N]) by errors [N], where the weight, bool [N], holds."""
    zeros, error = jnp.zeros_like(state.values), jnp.where(weight, error, 0)
    count, total = (zeros.at[index].add(x.astype(zeros.dtype)) for x in (weight, error))
    return combine(state, total, count), Mean.of(jnp.abs(error), weight)


def combine(state: State, total: Array, count: Array) -> State:
    """Move every entry that was met `count` times by errors of that `total` (both shaped like the values)."""
    hyper, visits = state.config, state.visits + count
    rate = hyper.learning_rate / (1 + hyper.learning_rate_decay * visits)
    moved = (1 - (1 - rate) ** count) * total / jnp.maximum(count, 1)
    return state._replace(values=state.values + moved, visits=visits)


def one_step(state: State, t: Transition, following: Array, index: Any = None) -> tuple[State, Mean]:
    """Move Q(s, a) towards r + discount * following [N], what next_obs is worth (0 behind a termination)."""
    index = (t.obs.features, t.action) if index is None else index
    target = t.reward + state.config.discount * jnp.where(t.terminated, 0, following)
    return move(state, index, target - state.values[index], t.valid)


def tabular(
    table: tuple[int, ...], action_space: Any, config: Any, policy: Policy, update: Update,
    remember: Callable[[Timestep], Tree] = lambda timestep: (),
) -> Agent:  # fmt: skip
    """The agent of an `update`; `remember` (the first timestep [N]) -> the memory that it begins with."""

    def init(key: Key, timestep: Timestep) -> State:
        values = jnp.full(table, config.initial_value, jnp.float32)
        return State(values, jnp.zeros(table), trees.traced(config), remember(timestep))

    def act(state: State, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Array, Tree, Any]:
        obs = timestep.obs
        action = policy.sample(key, state, obs) if explore else policy.greedy(state, obs)
        return action.astype(action_space.dtype), carry, ()

    def step(state: State, at: tuple[Key, Transition]) -> tuple[State, Mean]:
        key, t = at
        if policy.bonus is not None:
            visits = look_up(state, t.obs).visits
            done = jnp.take_along_axis(visits, t.action[:, None].astype(int), -1)[:, 0]
            t = t._replace(reward=jnp.where(t.valid, t.reward + policy.bonus(done, state.config), 0))
        return update(state, key, t)

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        steps = rollouts.blank_invalid(rollout.steps)
        keys = jax.random.split(key, steps.reward.shape[0])
        state, error = jax.lax.scan(step, state, (keys, steps))
        return state, {"error": jax.tree.map(jnp.sum, error)}

    return Agent(init, lambda n: (), act, learn)
