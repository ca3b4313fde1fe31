"""What changes while an agent learns: the share of random actions, the learning rate, the weight of the entropy."""

from typing import Any

import jax.numpy as jnp

from jaxrl.types import Array

_FACTOR = 1.5  # by which a rate that follows the KL divergence moves
_RATES = 1e-6, 1e-2  # between which it does


def epsilon(state: Any, explore: bool) -> Array | float:
    """The share of random actions: linear in environment steps from epsilon_start to epsilon_end, 0 when greedy."""
    hyper = state.config
    progress = jnp.minimum(state.env_steps / hyper.epsilon_steps, 1.0)
    return hyper.epsilon_start + (hyper.epsilon_end - hyper.epsilon_start) * progress if explore else 0.0


def learning_rate(hyper: Any, done: Array, per_update: int = 1) -> Array:
    """Linear from the full rate to 0 over total_updates, of which each counts `per_update` times in `done`."""
    return hyper.learning_rate * jnp.maximum(1 - done / (hyper.total_updates * per_update), 0.0)


def entropy_coefficient(hyper: Any, done: Array, per_update: int = 1) -> Array:
    """Linear from entropy_coefficient to entropy_end over the share entropy_span of total_updates, then constant."""
    progress = jnp.minimum(done / (hyper.total_updates * hyper.entropy_span * per_update), 1.0)
    return hyper.entropy_coefficient + (hyper.entropy_end - hyper.entropy_coefficient) * progress


def follow_divergence(hyper: Any, kl: Array) -> Any:
    """hyper with a lower learning rate after a KL above 2 kl_target, a higher one after a KL below kl_target / 2.

    Within 1e-6 and 1e-2; a rate that was chosen outside of them moves only towards them.
    """
    rate = hyper.learning_rate
    lower, higher = jnp.maximum(rate / _FACTOR, _RATES[0]), jnp.minimum(rate * _FACTOR, _RATES[1])
    moved = jnp.where(kl > 2 * hyper.kl_target, jnp.minimum(lower, rate), rate)
    return hyper._replace(learning_rate=jnp.where(kl < hyper.kl_target / 2, jnp.maximum(higher, rate), moved))
