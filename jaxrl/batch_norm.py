"""Batch normalisation (Ioffe and Szegedy 2015) by running moments, with the gradient of a batch's own (Ioffe 2017).

y = (x - m) / sqrt(v + eps) with the running mean m and variance v of each feature, in acting, learning and evaluation
alike, so that what is learnt is what acts. The gradient is that of a batch normalised by its own mean and variance:

dx = (g - E[g] - x^ E[g x^]) / sqrt(v + eps),   x^ = (x - E[x]) / sqrt(Var[x] + eps)

The running moments are a part of the parameters, but take no gradient step: where the gradient of a parameter stands,
the backward pass leaves their distance from the batch's moments, by a thousandth of which a gradient step moves them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Tree

_EPSILON = 1e-5
_RATE = 0.001


class Moments(NamedTuple):
    mean: Array  # [n]
    variance: Array  # [n]
    num_batches: Array  # float []: gradient steps that moved them; the first ones average all that was seen


def begin(size: int) -> Moments:
    return Moments(jnp.zeros(size), jnp.ones(size), jnp.zeros(()))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def normalise(x: Array, moments: Moments, axis: int) -> Array:
    """x [...] whose features are the axis `axis`; all others are the batch."""
    mean, variance = (_along(part, x, axis) for part in (moments.mean, moments.variance))
    return ((x - mean) * jax.lax.rsqrt(variance + _EPSILON)).astype(x.dtype)


def _forward(x: Array, moments: Moments, axis: int) -> tuple[Array, tuple[Array, Moments]]:
    return normalise(x, moments, axis), (x, moments)


def _backward(axis: int, kept: tuple[Array, Moments], gradient: Array) -> tuple[Array, Moments]:
    x, moments = kept
    batch = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    average = functools.partial(jnp.mean, axis=batch, keepdims=True, dtype=jnp.float32)
    mean = average(x)
    variance = average((x - mean) ** 2)
    standard = (x - mean) * jax.lax.rsqrt(variance + _EPSILON)
    inner = gradient - average(gradient) - standard * average(gradient * standard)
    running = Moments(*(part.astype(jnp.float32) for part in moments))
    scaled = inner * jax.lax.rsqrt(_along(running.variance, x, axis) + _EPSILON)
    apart = Moments(running.mean - mean.ravel(), running.variance - variance.ravel(), jnp.ones(()))
    return scaled.astype(x.dtype), jax.tree.map(lambda a, b: a.astype(b.dtype), apart, moments)


normalise.defvjp(_forward, _backward)


def without(gradients: Tree) -> Tree:
    """Gradients of parameters, with 0 where the distances of running moments stand."""
    return _at_moments(lambda node: jax.tree.map(jnp.zeros_like, node), gradients)


def move(params: Tree, before: Tree, gradients: Tree) -> Tree:
    """params with the running moments of `before`, moved by the distances in its gradients.

    The count of these says how many batches one gradient step has seen (microbatches, several passes).
    """

    def moved(_: Moments, old: Moments, apart: Moments) -> Moments:
        share = jnp.maximum(_RATE, 1 / (old.num_batches + 1)) / jnp.maximum(apart.num_batches, 1)
        mean, variance = old.mean - share * apart.mean, old.variance - share * apart.variance
        return Moments(mean, variance, old.num_batches + jnp.minimum(apart.num_batches, 1))

    return _at_moments(moved, params, before, gradients)


def _at_moments(change: Callable[..., Moments], tree: Tree, *others: Tree) -> Tree:
    """`change` at the moments of a tree and of others like it; every other leaf stays what it is."""

    def at(node: Any, *rest: Any) -> Any:
        return change(node, *rest) if isinstance(node, Moments) else node

    return jax.tree.map(at, tree, *others, is_leaf=lambda node: isinstance(node, Moments))


def _along(part: Array, x: Array, axis: int) -> Array:
    """part [n] along the axis of x."""
    return part.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
