"""Backups: what the next state is worth to the target of Q-learning.

A backup is a function (items, next_values [B, n], online, target, hyper) -> (reward [B], policy [B, n]). It says which
reward is earned, and which policy acts next; `next_values` are the target network's at the next observation, `online`
and `target` give a network's action values of any observation. Illegal actions have probability 0.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.distributions import masked
from jaxrl.types import Array, Experience, Observation

Values = Callable[[Observation], Array]  # (obs [B, ...]) -> action values [B, n]
Backup = Callable[[Experience, Array, Values, Values, Any], tuple[Array, Array]]


def chosen(values: Array, action: Array) -> Array:
    """Of values [..., n] those of the actions [...] that were taken."""
    return jnp.take_along_axis(values, action[..., None], -1)[..., 0]


def greedy(values: Array, legal: Array | None) -> Array:
    """The policy float [B, n] of the best legal action."""
    return jax.nn.one_hot(jnp.argmax(masked(values, legal), axis=-1), values.shape[-1])


def maximum(items: Experience, next_values: Array, online: Values, target: Values, hyper: Any) -> tuple[Array, Array]:
    """The best action by the target network, which also says what it is worth (Mnih et al. 2015)."""
    return items.reward, greedy(next_values, items.next_obs.legal)


def double(items: Experience, next_values: Array, online: Values, target: Values, hyper: Any) -> tuple[Array, Array]:
    """The best action by the online network (van Hasselt et al. 2016)."""
    return items.reward, greedy(online(items.next_obs), items.next_obs.legal)


def munchausen(
    items: Experience, next_values: Array, online: Values, target: Values, hyper: Any
) -> tuple[Array, Array]:
    """Acts by p = softmax(Q / temperature), and is paid for it twice (Vieillard et al. 2020, eq. 2).

    reward + munchausen * max(temperature * log p(a | o), munchausen_low) + discount * temperature * H(p(. | o'))
    """
    log_policy = _log_softmax(target(items.obs), items.obs.legal, hyper)
    bonus = chosen(log_policy, items.action)
    bonus = hyper.munchausen * jnp.maximum(hyper.temperature * bonus, hyper.munchausen_low)
    log_next = _log_softmax(next_values, items.next_obs.legal, hyper)
    policy = jnp.exp(log_next)
    entropy = -jnp.sum(policy * log_next, axis=-1)
    return items.reward + bonus + items.discount * hyper.temperature * entropy, policy


def _log_softmax(values: Array, legal: Array | None, hyper: Any) -> Array:
    return jax.nn.log_softmax(masked(values / hyper.temperature, legal))
