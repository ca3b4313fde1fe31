"""What changes while an agent learns: the share of random actions, and the learning rate."""

from typing import Any

import jax.numpy as jnp

from jaxrl.types import Array


def epsilon(state: Any, explore: bool) -> Array | float:
    """The share of random actions: linear in environment steps from epsilon_start to epsilon_end, 0 when greedy."""
    hyper = state.config
    progress = jnp.minimum(state.env_steps / hyper.epsilon_steps, 1.0)
    return hyper.epsilon_start + (hyper.epsilon_end - hyper.epsilon_start) * progress if explore else 0.0


def learning_rate(hyper: Any, done: Array, per_update: int = 1) -> Array:
    """Linear from the full rate to 0 over total_updates, of which each counts `per_update` times in `done`."""
    return hyper.learning_rate * jnp.maximum(1 - done / (hyper.total_updates * per_update), 0.0)
