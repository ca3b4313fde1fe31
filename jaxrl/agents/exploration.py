"""How deterministic policies act and explore: random actions at first, then noise. Critics read actions in units.

Continuous: units are those of the bounds, and noise has a memory; a reversion of 1 is Gaussian noise, less of it is
Ornstein and Uhlenbeck's (1930), which goes one way for a while.

noise <- (1 - reversion) * noise + deviation * N(0, 1)        (0 where an episode begins)

Discrete (Jang et al. 2017, Gumbel-softmax): units are one-hot vectors, and what explores is the draw itself.

units = one_hot(argmax(logits + g)), with the gradient of softmax(logits + g), g ~ Gumbel(0, 1)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import distributions, spaces
from jaxrl.action_networks import bounds
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


class Kind(NamedTuple):
    """What a policy's out [..., d] stands for."""

    size: int  # d
    to_units: Callable[[Array], Array]  # action -> units [..., d]
    mode: Callable[..., Array]  # (out, legal) -> action
    explore: Callable[..., Any]  # (out, legal, key, carry, first, hyper, random) -> (action, carry); random: a flag
    units: Callable[..., Array]  # (out, legal, key) -> units [..., d], through which gradients flow
    smoothed: Callable[..., Array]  # (out, legal, key, hyper) -> the units that a target is made of


def continuous(action_space: spaces.Space) -> Kind:
    box = bounds(action_space)

    def explore(
        out: Array, legal: None, key: Key, carry: Wandering, first: Array, hyper: Any, random: Array
    ) -> tuple[Array, Wandering]:
        noise_key, random_key = jax.random.split(key)
        carry = warm_up(random_key, wander(noise_key, carry, first, hyper), first, hyper)
        return box.from_units(jnp.where(random, carry.random, jnp.tanh(out) + carry.noise)), carry

    def smoothed(out: Array, legal: None, key: Key, hyper: Any) -> Array:
        units, limit = jnp.tanh(out), hyper.target_noise_clip
        noise = hyper.target_noise * jax.random.normal(key, units.shape)
        return jnp.clip(units + jnp.clip(noise, -limit, limit), -1.0, 1.0)

    return Kind(
        box.size, box.to_units, lambda out, legal: box.from_units(jnp.tanh(out)), explore,
        lambda out, legal, key: jnp.tanh(out), smoothed,
    )  # fmt: skip


def discrete(action_space: spaces.Discrete) -> Kind:
    n = action_space.n

    def one_hot(action: Array) -> Array:
        return jax.nn.one_hot(action, n)

    def noisy(out: Array, legal: Array | None, key: Key) -> Array:
        return distributions.masked(out + jax.random.gumbel(key, out.shape), legal)

    def explore(
        out: Array, legal: Array | None, key: Key, carry: Wandering, first: Array, hyper: Any, random: Array
    ) -> tuple[Array, Wandering]:
        return mode(noisy(jnp.where(random, 0.0, out), legal, key), None), carry

    def units(out: Array, legal: Array | None, key: Key) -> Array:
        logits = noisy(out, legal, key)
        soft = jax.nn.softmax(logits)
        return one_hot(mode(logits, None)) + soft - jax.lax.stop_gradient(soft)

    def mode(out: Array, legal: Array | None) -> Array:
        return jnp.argmax(distributions.masked(out, legal), -1).astype(action_space.dtype)

    return Kind(
        n, one_hot, mode, explore, units, lambda out, legal, key, hyper: one_hot(mode(noisy(out, legal, key), None)),
    )  # fmt: skip


def kind(action_space: spaces.Space) -> Kind:
    return discrete(action_space) if isinstance(action_space, spaces.Discrete) else continuous(action_space)
