"""What agents with replay and a target network share: their state, and how much is learnt from each rollout.

A learner adds the rollout to its buffer and takes the gradient steps that are due, as many per environment step as
`config.gradient_steps` says; nothing is due for the time before the buffer is ready. In each of them the target moves:

target <- target + target_rate * (params - target), every target_period gradient steps
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import losses, trees
from jaxrl.agents import rollouts
from jaxrl.agents.normalisers import Normalisers, scale_rewards
from jaxrl.agents.schedules import learning_rate
from jaxrl.statistics import Mean
from jaxrl.types import Array, Buffer, Key, Rollout, Sample, Tree

# (params, state, sample, keys [3]) -> (loss, (its metrics, of which one is the loss, priorities [B]))
Loss = Callable[[Tree, "State", Sample, Key], tuple[Array, Any]]


class State(NamedTuple):
    params: Tree
    target: Tree
    optimiser: optax.OptState
    config: Any  # the traced hyper-parameters
    buffer: Any  # observations are stored as they were
    normalisers: Normalisers
    env_steps: Array  # int32
    updates: Array  # int32: calls of learn
    gradient_steps: Array  # int32
    owed: Array  # float: the fraction of a gradient step that is still due


# (state, key) -> (state, metrics)
Step = Callable[[State, Key], tuple[State, dict[str, Array]]]


def begin(
    params: Tree, direction: optax.GradientTransformation, config: Any, buffer: Any,
    normalisers: Normalisers = Normalisers(),
) -> State:  # fmt: skip
    """The state before the first rollout, with an empty buffer."""
    optimiser, zero = direction.init(trees.ravel(params)[0]), jnp.zeros((), jnp.int32)
    hyper = trees.traced(config)
    return State(params, params, optimiser, hyper, buffer, normalisers, zero, zero, zero, jnp.zeros(()))


def same(params: Tree) -> Tree:
    return params


def descent(
    buffer: Buffer, direction: optax.GradientTransformation, loss: Loss, target_period: int,
    averaged: Callable[[Tree], Tree] = same,
) -> Step:  # fmt: skip
    """One gradient step of all parameters on one sample; `averaged` says which of them the target follows."""

    def step(state: State, key: Key) -> tuple[State, dict[str, Array]]:
        hyper, keys = state.config, jax.random.split(key, 4)
        sample = buffer.sample(state.buffer, keys[0], hyper.discount)
        rate = learning_rate(hyper, state.updates)
        params, optimiser, (metrics, priority) = losses.gradient_step(
            lambda params: loss(params, state, sample, keys[1:]),
            state.params, state.optimiser, direction, rate, hyper.max_gradient_norm,
        )  # fmt: skip
        count = trees.count_up(state.gradient_steps, 1)
        moved = jnp.where(count % target_period == 0, hyper.target_rate, 0.0)
        target = follow(state.target, averaged(params), moved)
        memory = buffer.update(state.buffer, sample.indices, priority)
        return state._replace(
            params=params, target=target, optimiser=optimiser, gradient_steps=count, buffer=memory
        ), metrics

    return step


def follow(target: Tree, params: Tree, rate: Array | float) -> Tree:
    """target + rate * (params - target)."""
    return jax.tree.map(lambda t, p: t + rate * (p - t), target, params)


def learner(
    buffer: Buffer, step: Step, steps_at_once: int = 1, names: tuple[str, ...] = ("loss", "q"), num_agents: int = 1
) -> Callable[[State, Key, Rollout], tuple[State, dict[str, Mean]]]:
    """The `learn` of an agent: (state, key, rollout [T, N, ...]) -> (state, the step's metrics, which have `names`).

    A `step` that stands for several gradient steps is taken when that many are due. The rows of a team's num_agents
    make one environment step.
    """

    def update(state: State, key: Key, num_steps: Array) -> tuple[State, dict[str, Mean]]:
        """`step` num_steps (traced) times on what the buffer holds."""

        def body(i: Array, both: Any) -> Any:
            state, metrics = step(both[0], jax.random.fold_in(key, i))
            return state, jax.tree.map(jnp.add, both[1], metrics)

        zeros = {name: jnp.zeros(()) for name in names}
        state, totals = jax.lax.fori_loop(0, num_steps, body, (state, zeros))
        return state, {name: Mean(total, num_steps) for name, total in totals.items()}

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        count = rollout.steps.reward.size // num_agents
        rollout = rollout._replace(steps=rollouts.blank_invalid(rollout.steps))
        memory = buffer.add(state.buffer, rollout)
        owed = jnp.where(buffer.ready(memory), state.owed + count * state.config.gradient_steps, 0.0)
        due = jnp.floor(owed / steps_at_once).astype(jnp.int32)
        state = state._replace(
            buffer=memory, env_steps=trees.count_up(state.env_steps, count), owed=owed - due * steps_at_once
        )
        state, metrics = update(state, key, due)
        _, moments = scale_rewards(state.normalisers, rollout.steps, state.config.discount)
        return state._replace(normalisers=moments, updates=trees.count_up(state.updates, 1)), metrics

    return learn
