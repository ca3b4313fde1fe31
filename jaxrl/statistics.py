"""Means as sums and counts, running moments for normalisers, and intervals over seeds (on the host)."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Tree


class Mean(NamedTuple):
    """A mean that is divided once, on the host. Integers and counts are summed as int32: exact up to 2^31."""

    total: Array
    count: Array  # type: ignore[assignment]  # over tuple.count, which nobody needs here

    @classmethod
    def of(cls, values: Array, weight: Array | None = None) -> "Mean":
        """Of values [...] over every axis; those of weight [...] 0 (or False) do not count, whatever they hold."""
        weight = jnp.broadcast_to(True if weight is None else weight, jnp.shape(values))
        counted = values if weight.dtype == bool else values * weight
        return cls(jnp.sum(jnp.where(weight != 0, counted, 0)), jnp.sum(weight))

    def value(self, axis: int | tuple[int, ...] = ()) -> np.ndarray:
        """The mean in float64, joined over `axis` of stacked sums and counts; NaN where nothing was counted."""
        total, count = (np.sum(np.asarray(x, float), axis) for x in self)
        return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count != 0)


class RunningMoments(NamedTuple):
    """Mean and squared deviations of all rows so far, for any pytree of rows."""

    count: Array  # type: ignore[assignment]  # uint32 [2] rows, high and low word: exact (a float32 stops at 2^24)
    mean: Tree  # float [...] per leaf
    m2: Tree  # float [...] per leaf: sum of squared deviations from the mean
    rest: Tree  # what rounding left out of (mean, m2), so that many small batches add up
    rejected: Array  # int32 [] batches that were left out, because they would have made a moment infinite or NaN


def init(example: Tree) -> RunningMoments:
    """No rows yet, of the shapes of one example row (leaves [...], without batch axes)."""
    zeros = jax.tree.map(lambda x: jnp.zeros(jnp.shape(x), jnp.result_type(x, jnp.float32)), example)
    return RunningMoments(jnp.zeros(2, jnp.uint32), zeros, zeros, (zeros, zeros), jnp.zeros((), jnp.int32))


def update(stats: RunningMoments, batch: Tree, weight: Array | None = None) -> RunningMoments:
    """Add the rows of batch (leaves [..., *row], any batch axes, the same in each leaf) where bool weight [...] holds.

    Two passes, of which the second corrects the mean (Chan, Golub and LeVeque 1983).
    """
    leaves, means = jax.tree.leaves(batch), jax.tree.leaves(stats.mean)
    axes = tuple(range(jnp.ndim(leaves[0]) - means[0].ndim))
    weight = jnp.ones(leaves[0].shape[: len(axes)], bool) if weight is None else weight
    chex.assert_shape(weight, leaves[0].shape[: len(axes)])
    chex.assert_type(weight, bool)
    num_rows = jnp.sum(weight, dtype=jnp.uint32)
    divisor = jnp.maximum(num_rows, 1)

    def moments(x: Array, mean: Array) -> tuple[Array, Array]:
        counts = jnp.expand_dims(weight, range(len(axes), x.ndim))
        x = jnp.where(counts, x, 0).astype(mean.dtype)
        rough = jnp.sum(x, axes) / divisor
        off = jnp.where(counts, x - rough, 0)
        return rough + jnp.sum(off, axes) / divisor, jnp.sum(off**2, axes)

    pairs = zip(*(moments(x, m) for x, m in zip(leaves, means, strict=True)), strict=True)
    mean, m2 = (jax.tree.unflatten(jax.tree.structure(stats.mean), part) for part in pairs)
    zeros = jax.tree.map(jnp.zeros_like, stats.rest)
    return merge(stats, RunningMoments(jnp.stack([jnp.zeros_like(num_rows), num_rows]), mean, m2, zeros, jnp.int32(0)))


def merge(a: RunningMoments, b: RunningMoments) -> RunningMoments:
    """The moments of the rows of both (Chan, Golub and LeVeque 1979); b is rejected where the result is not finite."""
    low = a.count[1] + b.count[1]
    count = jnp.stack([a.count[0] + b.count[0] + (low < a.count[1]), low])
    share = num_rows(b.count) / jnp.maximum(num_rows(count), 1)
    delta = jax.tree.map(jnp.subtract, b.mean, a.mean)
    growth = jax.tree.map(lambda m2, d: m2 + num_rows(a.count) * share * d**2, b.m2, delta)
    old, moved = (a.mean, a.m2), (jax.tree.map(lambda d: share * d, delta), growth)
    steps = jax.tree.map(jnp.add, moved, a.rest)
    new = jax.tree.map(jnp.add, old, steps)
    rest = jax.tree.map(lambda new, old, step: step - (new - old), new, old, steps)  # Kahan's summation
    finite = jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(new)]))
    rejected = a.rejected + b.rejected + ~finite
    both, kept = RunningMoments(count, new[0], new[1], rest, rejected), a._replace(rejected=rejected)
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), both, kept)


def num_rows(count: Array) -> Array:
    """float32 []: how many rows a two-word count stands for."""
    return count[0] * 2.0**32 + count[1]


def deviation(stats: RunningMoments) -> Tree:
    """Standard deviation per leaf [...]; 1 until there are two rows."""
    count = num_rows(stats.count)
    return jax.tree.map(lambda m2: jnp.where(count < 2, 1.0, jnp.sqrt(m2 / jnp.maximum(count, 1) + 1e-8)), stats.m2)


def normalise(stats: RunningMoments, x: Tree, clip: float = 10.0) -> Tree:
    """x (leaves [..., *row]) to mean 0 and deviation 1, within +-clip."""
    return jax.tree.map(lambda x, mean, std: jnp.clip((x - mean) / std, -clip, clip), x, stats.mean, deviation(stats))


def interquartile_mean(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the middle half along the axis of seeds: [S, ...] -> [...]; NaN where any entry is (it diverged)."""
    from scipy.stats import trim_mean

    x = np.asarray(x, float)
    return np.where(np.isnan(x).any(axis), np.nan, trim_mean(x, 0.25, axis))


def bootstrap_interval(
    x: np.ndarray, confidence: float = 0.95, num_resamples: int = 10_000,
    statistic: Callable[..., np.ndarray] = np.mean, seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Percentile bootstrap over seeds (Agarwal et al. 2021): [S, ...] -> (low [...], high [...]); NaN for one seed."""
    from scipy.stats import bootstrap

    x = np.asarray(x, float)
    if len(x) < 2:
        return np.full(x.shape[1:], np.nan), np.full(x.shape[1:], np.nan)
    interval = bootstrap(
        (x,), statistic, n_resamples=num_resamples, batch=250, vectorized=True, axis=0,
        confidence_level=confidence, method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return interval.low, interval.high


def interquartile_mean_interval(x: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[S, ...] -> (interquartile mean [...], low [...], high [...])."""
    return interquartile_mean(x), *bootstrap_interval(x, confidence, statistic=interquartile_mean)
