"""What a network says about action values, and the loss that teaches it: expectations, categories or quantiles.

A head reads the network's out, whose leaves are [..., n, *] for n actions: as action values, and as a loss towards
what the `Target` says. `hyper` is the agent's traced configuration.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import losses
from jaxrl.types import Array


class Target(NamedTuple):
    """reward + discount * what the policy gets of `out`: the n-step return that an action is moved towards."""

    reward: Array  # float [B]
    discount: Array  # float [B] 0 behind a termination
    out: Any  # of the target network at the next observation, leaves [B, n, ...]
    policy: Array  # float [B, n] probabilities of the next actions; of a greedy policy, a single 1


class ValueHead(NamedTuple):
    values: Callable[[Any, Any], Array]  # (out, hyper) -> action values [..., n]
    loss: Callable[..., tuple[Array, Array]]  # (out, action [B, n], target, hyper) -> (loss [B], priority [B])


def under(policy: Array, x: Array) -> Array:
    """x [B, n, ...] averaged over actions: -> [B, ...]. What has probability 0 does not count, whatever it is."""
    policy = policy.reshape(policy.shape + (1,) * (x.ndim - policy.ndim))
    return jnp.sum(jnp.where(policy > 0, policy * x, 0.0), axis=1)


def _expected_loss(out: Array, action: Array, target: Target, hyper: Any) -> tuple[Array, Array]:
    error = under(action, out) - (target.reward + target.discount * under(target.policy, target.out))
    return losses.huber(error, hyper.huber_threshold), jnp.abs(error)


def _support(out: Array, hyper: Any) -> Array:
    return jnp.linspace(hyper.value_low, hyper.value_high, out.shape[-1])


def _mean(probabilities: Array, support: Array) -> Array:
    return jnp.dot(probabilities, support, precision="highest")


def project(probabilities: Array, positions: Array, support: Array) -> Array:
    """Masses [B, K] that lie at positions [B, K], moved to the evenly spaced support [K] (Bellemare et al. 2017).

    A mass is shared by its two neighbours in proportion to its nearness; beyond an end it is moved to that end.
    """
    atoms = (jnp.clip(positions, support[0], support[-1]) - support[0]) / (support[1] - support[0])
    nearness = jnp.maximum(1 - jnp.abs(atoms[:, None, :] - jnp.arange(support.size)[:, None]), 0)
    return jnp.einsum("bij,bj->bi", nearness, probabilities, precision="highest")


def _categorical_loss(out: Array, action: Array, target: Target, hyper: Any) -> tuple[Array, Array]:
    support = _support(out, hyper)
    positions = target.reward[:, None] + target.discount[:, None] * support
    wanted = project(under(target.policy, jax.nn.softmax(target.out)), positions, support)
    log_given = jax.nn.log_softmax(under(action, out))
    divergence = jnp.sum(jax.scipy.special.xlogy(wanted, wanted) - wanted * log_given, axis=-1)
    return divergence, divergence


def _quantile_loss(out: Any, action: Array, target: Target, hyper: Any) -> tuple[Array, Array]:
    """Of each quantile to each of the target's: |fraction - [error < 0]| huber(error) / threshold, summed and averaged.

    A threshold of inf leaves half the squared error, one of 0 the absolute error.
    """
    (quantiles, fractions), (next_quantiles, _) = out, target.out
    wanted = target.reward[:, None] + target.discount[:, None] * under(target.policy, next_quantiles)
    error = wanted[:, None, :] - under(action, quantiles)[:, :, None]  # [B, K, K']
    threshold = jnp.maximum(hyper.huber_threshold, 1e-6)
    # near * (error - near / 2) is Huber's loss, and near its derivative: not to differentiate that one as well halves
    # the passes over all pairs.
    near = jax.lax.stop_gradient(jnp.clip(error, -threshold, threshold))
    weight = jnp.abs(fractions[:, :, None] - (error < 0))
    loss = jnp.sum(jnp.mean(weight * near * (error - 0.5 * near), axis=-1), axis=-1)
    loss = loss / jnp.where(jnp.isinf(threshold), 1.0, threshold)
    return loss, loss


def expected() -> ValueHead:
    """out = action values [..., n]; Huber's loss."""
    return ValueHead(lambda out, hyper: out, _expected_loss)


def categorical() -> ValueHead:
    """out = logits [..., n, K] of K values from `value_low` to `value_high` (C51); the Kullback-Leibler divergence."""
    return ValueHead(lambda out, hyper: _mean(jax.nn.softmax(out), _support(out, hyper)), _categorical_loss)


def quantile() -> ValueHead:
    """out = (quantiles [..., n, K], their fractions [..., K]) (QR-DQN, IQN); Huber's loss for quantiles."""
    return ValueHead(lambda out, hyper: jnp.mean(out[0], axis=-1), _quantile_loss)
