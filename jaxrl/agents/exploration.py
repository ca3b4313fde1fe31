"""How continuous agents explore: random actions at first, then noise with a memory. All in units of the bounds.

noise  <- (1 - reversion) * noise + deviation * N(0, 1)        (0 where an episode begins)

A reversion of 1 is Gaussian noise; less of it is Ornstein and Uhlenbeck's (1930), which goes one way for a while.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Key


class Wandering(NamedTuple):
    """What a row remembers."""

    noise: Array  # float [N, d]
    random: Array  # float [N, d] the random action that is held


def begin(num_rows: int, size: int) -> Wandering:
    return Wandering(jnp.zeros((num_rows, size)), jnp.zeros((num_rows, size)))


def wander(key: Key, carry: Wandering, first: Array, hyper: Any) -> Wandering:
    """The next noise [N, d], of deviation `exploration_noise` and reversion `noise_reversion`."""
    before = jnp.where(first[:, None], 0.0, carry.noise)
    drawn = hyper.exploration_noise * jax.random.normal(key, before.shape)
    return carry._replace(noise=(1 - hyper.noise_reversion) * before + drawn)


def warm_up(key: Key, carry: Wandering, first: Array, hyper: Any) -> Wandering:
    """The next random action [N, d]: uniform, and held for `warm_up_hold` steps on average."""
    draw = jax.random.uniform(key, (first.shape[0], carry.random.shape[1] + 1), minval=-1.0)
    fresh = first | ((draw[:, 0] + 1) * hyper.warm_up_hold < 2)
    return carry._replace(random=jnp.where(fresh[:, None], draw[:, 1:], carry.random))
