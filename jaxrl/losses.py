"""Losses on weighted samples, and the one gradient step that every gradient-based agent takes."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from jaxrl import batch_norm, trees
from jaxrl.types import Array, Tree


def mean(values: Array, weight: Array) -> Array:
    """The mean of values [...] over the samples that count: weight [...] >= 0; 0 where none does."""
    chex.assert_equal_shape([values, weight])
    return jnp.sum(jnp.where(weight > 0, values, 0.0) * weight) / jnp.maximum(jnp.sum(weight), 1e-8)


def standardise(values: Array, weight: Array) -> Array:
    """values [...] to mean 0 and standard deviation 1 over the samples that count; one sample gives 0."""
    centred = values - mean(values, weight)
    return centred / (jnp.sqrt(mean(centred**2, weight)) + 1e-8)


def clipped_surrogate(ratio: Array, advantage: Array, clip_range: Array | float) -> Array:
    """PPO's pessimistic objective as a loss [...] (Schulman et al. 2017, eq. 7)."""
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip_range, 1 + clip_range) * advantage)


def clipped_value(value: Array, old_value: Array, target: Array, clip_range: Array | float) -> Array:
    """Half the squared error [...], pessimistic about moves of more than clip_range (as in OpenAI's PPO)."""
    near = old_value + jnp.clip(value - old_value, -clip_range, clip_range)
    return 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2)


def huber(error: Array, threshold: Array | float) -> Array:
    """Half the squared error [...] up to threshold, linear beyond (Huber 1964); threshold inf: squared error."""
    near, size = jnp.minimum(jnp.abs(error), threshold), jnp.abs(error)
    return 0.5 * near**2 + jnp.where(size > threshold, threshold, 0.0) * (size - near)


def gradient_step(
    loss: Callable[[Tree], tuple[Array, Any]], params: Tree, state: optax.OptState,
    direction: optax.GradientTransformation, learning_rate: Array | float, max_norm: Array | float,
) -> tuple[Tree, optax.OptState, Any]:  # fmt: skip
    """params - learning_rate * direction(gradient clipped to max_norm) -> (params, optimiser state, aux of the loss).

    `direction` is an optax transformation without a step size (`optax.scale_by_adam`), because the step size is a
    traced hyper-parameter. It works on all parameters as one vector, so its state is `direction.init` of
    `trees.ravel(params)[0]`: on a CPU many small operations cost more than the numbers in them.
    Running moments among the parameters (`batch_norm`) move towards those of the batches that the loss has seen.
    """
    gradients, aux = jax.grad(loss, has_aux=True)(params)
    gradient, (vector, restore) = trees.ravel(batch_norm.without(gradients))[0], trees.ravel(params)
    norm = jnp.sqrt(jnp.sum(gradient**2))
    update, state = direction.update(gradient * jnp.minimum(1.0, max_norm / (norm + 1e-8)), state, vector)
    return batch_norm.move(restore(vector - learning_rate * update), params, gradients), state, aux
