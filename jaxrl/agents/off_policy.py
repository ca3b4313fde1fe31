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


def begin(
    params: Tree, direction: optax.GradientTransformation, config: Any, buffer: Any,
    normalisers: Normalisers = Normalisers(),
) -> State:  # fmt: skip
    """The state before the first rollout, with an empty buffer."""
    optimiser, zero = direction.init(trees.ravel(params)[0]), jnp.zeros((), jnp.int32)
    hyper = trees.traced(config)
    return State(params, params, optimiser, hyper, buffer, normalisers, zero, zero, zero, jnp.zeros(()))


def learner(
    buffer: Buffer, direction: optax.GradientTransformation, loss: Loss, target_period: int
) -> Callable[[State, Key, Rollout], tuple[State, dict[str, Mean]]]:
    """The `learn` of an agent: (state, key, rollout [T, N, ...]) -> (state, the loss's metrics `loss` and `q`)."""

    def gradient_step(i: Array, state: State, key: Key) -> tuple[State, dict[str, Array]]:
        hyper, keys = state.config, jax.random.split(jax.random.fold_in(key, i), 4)
        sample = buffer.sample(state.buffer, keys[0], hyper.discount)
        rate = learning_rate(hyper, state.updates)
        params, optimiser, (metrics, priority) = losses.gradient_step(
            lambda params: loss(params, state, sample, keys[1:]),
            state.params, state.optimiser, direction, rate, hyper.max_gradient_norm,
        )  # fmt: skip
        count = trees.count_up(state.gradient_steps, 1)
        moved = jnp.where(count % target_period == 0, hyper.target_rate, 0.0)
        target = jax.tree.map(lambda t, p: t + moved * (p - t), state.target, params)
        memory = buffer.update(state.buffer, sample.indices, priority)
        return state._replace(
            params=params, target=target, optimiser=optimiser, gradient_steps=count, buffer=memory
        ), metrics

    def update(state: State, key: Key, num_steps: Array) -> tuple[State, dict[str, Mean]]:
        """num_steps (traced) gradient steps on what the buffer holds."""

        def body(i: Array, both: Any) -> Any:
            state, metrics = gradient_step(i, both[0], key)
            return state, jax.tree.map(jnp.add, both[1], metrics)

        zeros = {"loss": jnp.zeros(()), "q": jnp.zeros(())}
        state, totals = jax.lax.fori_loop(0, num_steps, body, (state, zeros))
        return state, {name: Mean(total, num_steps) for name, total in totals.items()}

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        rollout, count = rollout._replace(steps=rollouts.blank_invalid(rollout.steps)), rollout.steps.reward.size
        memory = buffer.add(state.buffer, rollout)
        owed = jnp.where(buffer.ready(memory), state.owed + count * state.config.gradient_steps, 0.0)
        due = jnp.floor(owed).astype(jnp.int32)
        state = state._replace(buffer=memory, env_steps=trees.count_up(state.env_steps, count), owed=owed - due)
        state, metrics = update(state, key, due)
        _, moments = scale_rewards(state.normalisers, rollout.steps, state.config.discount)
        return state._replace(normalisers=moments, updates=trees.count_up(state.updates, 1)), metrics

    return learn
