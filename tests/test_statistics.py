"""Means, running moments against numpy in float64, and intervals over seeds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxrl import statistics
from jaxrl.statistics import Mean, RunningMoments

UPDATE = jax.jit(statistics.update)
MERGE = jax.jit(statistics.merge)
NORMALISE = jax.jit(statistics.normalise)


def rows(stats):
    """The exact number of rows, as a Python int."""
    high, low = (int(word) for word in stats.count)
    return (high << 32) + low


def stats_at(count, mean=0.0, variance=1.0):
    """Moments of `count` rows of one number."""
    words = jnp.array([count >> 32, count & 0xFFFFFFFF], jnp.uint32)
    zero = jnp.float32(0)
    return RunningMoments(words, jnp.float32(mean), jnp.float32(variance * count), (zero, zero), jnp.int32(0))


def variance(stats):
    return jax.tree.map(lambda m2: np.float64(m2) / rows(stats), stats.m2)


# ------------------------------------------------------------------------------------------------ means


def test_a_mean_counts_only_what_has_weight_even_beside_nan():
    values = jnp.array([[1.0, jnp.nan], [3.0, 8.0]])
    weight = jnp.array([[True, False], [True, True]])
    for kind in (weight, weight.astype(jnp.float32)):
        mean = jax.jit(Mean.of)(values, kind)
        assert (float(mean.total), float(mean.count), float(mean.value())) == (12.0, 3.0, 4.0)
    assert float(Mean.of(jnp.array([1.0, 2.0])).value()) == 1.5
    assert float(Mean.of(jnp.array([1.0, 4.0]), jnp.array([1.0, 3.0])).value()) == 3.25
    assert float(Mean.of(jnp.array([True, False, True, True])).value()) == 0.75


def test_a_mean_of_nothing_is_nan_without_a_warning(recwarn):
    mean = Mean.of(jnp.ones((2, 3)), jnp.zeros((2, 3), bool))
    assert np.isnan(mean.value()) and (mean.total, mean.count) == (0, 0)
    assert not recwarn.list


def test_counts_and_integer_sums_are_exact_where_float32_is_not():
    n = 2**24 + 3
    mean = jax.jit(Mean.of)(jnp.ones(n, jnp.int8), jnp.ones(n, bool))
    assert int(mean.count) == int(mean.total) == n
    weight = jnp.array([True, False, True])
    mean = Mean.of(jnp.array([2**24, 7, 3], jnp.int32), weight)
    assert float(mean.value()) == (2**24 + 3) / 2


def test_stacked_means_are_joined_in_float64():
    total = np.float32([[2**24, 1.0, 1.0], [0.0, 0.0, 0.0]])
    mean = Mean(total, np.int32([[1, 1, 1], [0, 0, 2]]))
    np.testing.assert_array_equal(mean.value(axis=1), [(2**24 + 2) / 3, 0.0])
    np.testing.assert_array_equal(mean.value(), [[2**24, 1.0, 1.0], [np.nan, np.nan, 0.0]])
    assert float(mean.value(axis=(0, 1))) == (2**24 + 2) / 5


# ------------------------------------------------------------------------------------------------ running moments


def test_a_thousand_uneven_batches_equal_numpy():
    rng = np.random.default_rng(0)
    offset, scale = np.array([0.0, 100.0, -1e4, 1e-3]), np.array([1.0, 5.0, 10.0, 1e-2])
    sizes = rng.choice([1, 2, 3, 17, 64], 1000)
    drift = np.linspace(0, 3, 1000)
    batches = [
        (offset + scale * (rng.normal(size=(n, 4)) + d)).astype(np.float32) for n, d in zip(sizes, drift, strict=True)
    ]
    stats = statistics.init(jnp.zeros(4))
    for batch in batches:
        stats = UPDATE(stats, batch)
    data = np.concatenate(batches).astype(np.float64)
    assert rows(stats) == len(data) and int(stats.rejected) == 0
    np.testing.assert_allclose((stats.mean - data.mean(0)) / data.std(0), 0, atol=1e-4)
    np.testing.assert_allclose(variance(stats), data.var(0), rtol=1e-4)
    deviation = statistics.deviation(stats)
    np.testing.assert_allclose(deviation, np.sqrt(data.var(0) + 1e-8), rtol=1e-4)
    expected = np.clip((data[:500] - data.mean(0)) / np.sqrt(data.var(0) + 1e-8), -10, 10)
    np.testing.assert_allclose(NORMALISE(stats, data[:500].astype(np.float32)), expected, atol=1e-3)


def test_one_large_batch_far_from_zero_is_accurate():
    data = (1e4 + np.random.default_rng(1).normal(size=(64, 1024, 3))).astype(np.float32)
    stats = UPDATE(statistics.init(jnp.zeros(3)), data)
    flat = data.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(stats.mean, flat.mean(0), atol=1e-3)
    np.testing.assert_allclose(variance(stats), flat.var(0), rtol=1e-4)


def test_any_tree_any_batch_axes_and_a_mask():
    rng = np.random.default_rng(2)
    example = {"image": np.zeros((2, 2), np.uint8), "vector": (np.zeros(3, np.float32), np.zeros((), np.int32))}
    stats = statistics.init(example)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((stats.mean, stats.m2)))
    batch = {
        "image": rng.integers(0, 255, (5, 6, 2, 2)).astype(np.uint8),
        "vector": (rng.normal(size=(5, 6, 3)).astype(np.float32), rng.integers(0, 9, (5, 6)).astype(np.int32)),
    }
    valid = rng.random((5, 6)) < 0.5
    batch["vector"][0][~valid] = np.nan
    stats = UPDATE(UPDATE(stats, batch, valid), batch, np.zeros((5, 6), bool))
    assert rows(stats) == valid.sum() and int(stats.rejected) == 0
    spread = variance(stats)
    for leaf, mean, var in zip(*(jax.tree.leaves(x) for x in (batch, stats.mean, spread)), strict=True):
        np.testing.assert_allclose(mean, leaf[valid].astype(float).mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(var, leaf[valid].astype(float).var(0), rtol=1e-4)
    normalised = NORMALISE(stats, batch)
    assert jax.tree.map(jnp.shape, normalised) == jax.tree.map(jnp.shape, batch)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.0, 12345.678, 1e10])
def test_a_constant_dimension_stays_finite_and_is_normalised_to_about_zero(constant):
    stats = statistics.init(jnp.zeros(()))
    for size in (1, 7, 64, 3, 1000):
        stats = UPDATE(stats, jnp.full(size, constant, jnp.float32))
    assert np.isfinite(jax.tree.leaves((stats.mean, stats.m2))).all() and stats.m2 >= 0
    np.testing.assert_allclose(stats.mean, np.float32(constant), rtol=2e-7)
    normalised = NORMALISE(stats, jnp.float32(constant))
    assert abs(float(normalised)) < 1e-2
    assert np.isfinite(NORMALISE(stats, jnp.float32(constant + 1)))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 3e38])
def test_a_batch_that_is_not_finite_is_left_out_and_counted(bad):
    rng = np.random.default_rng(3)
    stats = statistics.init({"a": jnp.zeros(2), "b": jnp.zeros(())})
    good = {"a": rng.normal(size=(8, 2)).astype(np.float32), "b": rng.normal(size=8).astype(np.float32)}
    stats = UPDATE(stats, good)
    spoilt = {"a": good["a"].copy(), "b": good["b"]}
    spoilt["a"][3, 1] = bad
    after = UPDATE(UPDATE(stats, spoilt), spoilt)
    assert int(after.rejected) == 2
    for new, old in zip(
        jax.tree.leaves(after._replace(rejected=0)), jax.tree.leaves(stats._replace(rejected=0)), strict=True
    ):
        np.testing.assert_array_equal(new, old)
    assert rows(UPDATE(after, good)) == 16
    assert int(UPDATE(after, spoilt, np.arange(8) != 3).rejected) == 2


@pytest.mark.parametrize("start", [2**24 - 1, 2**24 + 1, 2**31 - 5, 2**32 - 7, 2**40 + 12345])
def test_counts_are_exact_beyond_float32_and_int32(start):
    stats, rng = stats_at(start), np.random.default_rng(4)
    sizes = [1, 2, 13, 1, 5]
    for size in sizes:
        stats = UPDATE(stats, rng.normal(size=size).astype(np.float32))
    assert rows(stats) == start + sum(sizes)
    np.testing.assert_allclose(variance(stats), 1, rtol=1e-4)


@pytest.mark.parametrize("start, num_batches, size", [(2**24 + 1, 4096, 4096), (2**26, 100_000, 1), (2**33, 1000, 64)])
def test_batches_add_up_however_small_they_are_beside_the_past(start, num_batches, size):
    """Data of another mean and deviation on top of `start` rows of mean 1 and variance 1: as float64 has it."""
    batch = jnp.asarray(np.random.default_rng(5).normal(3, 2, size), jnp.float32)
    many = jax.jit(lambda s, b: jax.lax.fori_loop(0, num_batches, lambda _, s: statistics.update(s, b), s))
    stats, n, x = many(stats_at(start, 1.0), batch), num_batches * size, np.float64(batch)
    total, delta = start + n, x.mean() - 1
    assert rows(stats) == total
    moved, spread = delta * n / total, (n * (x.var() - 1) + delta**2 * start * n / total) / total
    assert moved > 1e-6
    np.testing.assert_allclose(np.float64(stats.mean) + np.float64(stats.rest[0]) - 1, moved, rtol=1e-3)
    changed = (np.float64(stats.m2) + np.float64(stats.rest[1])) / total - 1
    np.testing.assert_allclose(changed, spread, rtol=1e-3)


def test_merged_halves_equal_the_whole_in_either_order():
    rng = np.random.default_rng(6)
    data = (5 + 3 * rng.normal(size=(1000, 3))).astype(np.float32)
    empty = statistics.init(jnp.zeros(3))
    first, second = UPDATE(empty, data[:123]), UPDATE(empty, data[123:])
    for merged in (
        MERGE(first, second),
        MERGE(second, first),
        MERGE(empty, UPDATE(empty, data)),
        MERGE(UPDATE(empty, data), empty),
    ):
        assert rows(merged) == 1000
        np.testing.assert_allclose(merged.mean, data.astype(float).mean(0), rtol=1e-5)
        np.testing.assert_allclose(variance(merged), data.astype(float).var(0), rtol=1e-4)
    np.testing.assert_array_equal(jax.tree.leaves(MERGE(empty, empty))[0], [0, 0])
    assert rows(MERGE(stats_at(2**32 - 1), stats_at(2**32 - 1))) == 2**33 - 2


def test_before_two_rows_nothing_is_scaled():
    stats, x = statistics.init(jnp.zeros(2)), jnp.array([[1.0, -3.0]])
    np.testing.assert_array_equal(NORMALISE(stats, x), x)
    np.testing.assert_array_equal(NORMALISE(UPDATE(stats, x), x + 1), [[1.0, 1.0]])
    np.testing.assert_array_equal(NORMALISE(stats, 100 * x), [[10.0, -10.0]])
    np.testing.assert_array_equal(statistics.normalise(stats, 100 * x, clip=50.0), [[50.0, -50.0]])


def test_lanes_of_a_vmap_are_separate():
    rng = np.random.default_rng(7)
    data = rng.normal(size=(3, 20, 2)).astype(np.float32)
    data[1, 4, 0] = np.nan
    empty = statistics.init(jnp.zeros(2))
    lanes = jax.jit(jax.vmap(lambda x: statistics.update(empty, x)))(data)
    np.testing.assert_array_equal(lanes.rejected, [0, 1, 0])
    for i in (0, 2):
        np.testing.assert_allclose(lanes.mean[i], data[i].mean(0), atol=1e-6)


def test_a_mask_of_the_wrong_shape_or_kind_is_refused():
    stats, batch = statistics.init(jnp.zeros(2)), jnp.ones((4, 3, 2))
    for weight in (jnp.ones((4, 1), bool), jnp.ones((4, 3, 2), bool), jnp.ones((4, 3))):
        with pytest.raises(AssertionError):
            statistics.update(stats, batch, weight)


# ------------------------------------------------------------------------------------------------ intervals


def test_interquartile_mean_drops_a_quarter_at_each_end():
    x = np.array([100.0, 1.0, 2.0, 3.0, 4.0, -50.0, 5.0, 6.0])
    assert statistics.interquartile_mean(x) == np.mean([2.0, 3.0, 4.0, 5.0])
    curves = np.stack([x, 2 * x, x[::-1]], -1)
    np.testing.assert_allclose(statistics.interquartile_mean(curves), scipy.stats.trim_mean(curves, 0.25, axis=0))
    np.testing.assert_allclose(statistics.interquartile_mean(curves.T, axis=-1), statistics.interquartile_mean(curves))


def test_a_diverged_seed_is_not_trimmed_away():
    curves = np.arange(16.0).reshape(8, 2)
    curves[3, 1] = np.nan
    np.testing.assert_array_equal(statistics.interquartile_mean(curves), [7.0, np.nan])


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    """400 samples of 30: a percentile interval of 90 % covers the mean in 88 % (its known bias); 80 % is 5 sd off."""
    rng = np.random.default_rng(0)
    low, high = statistics.bootstrap_interval(rng.normal(3, 2, (30, 400)), confidence=0.9, num_resamples=1000)
    assert low.shape == high.shape == (400,)
    covered = np.mean((low <= 3) & (high >= 3))
    assert 0.8 < covered < 0.96


def test_bootstrap_interval_equals_the_normal_theory_for_a_mean():
    x = np.random.default_rng(1).normal(0, 1, 200)
    low, high = statistics.bootstrap_interval(x)
    error = scipy.stats.norm.ppf(0.975) * x.std() / np.sqrt(len(x))
    np.testing.assert_allclose([low, high], [x.mean() - error, x.mean() + error], atol=0.01)
    assert statistics.bootstrap_interval(x) == (low, high)
    assert statistics.bootstrap_interval(x, seed=1) != (low, high)
    narrow = statistics.bootstrap_interval(x, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_intervals_of_curves_equal_those_of_each_point():
    curves = np.random.default_rng(2).normal(size=(10, 3)) * [1.0, 5.0, 0.0]
    middle, low, high = statistics.interquartile_mean_interval(curves)
    np.testing.assert_allclose(middle, statistics.interquartile_mean(curves))
    assert np.all((low <= middle) & (middle <= high))
    assert low[2] == middle[2] == high[2] == 0
    for i in range(2):
        alone = statistics.bootstrap_interval(curves[:, i], statistic=statistics.interquartile_mean)
        np.testing.assert_allclose([low[i], high[i]], alone, atol=0.2 * (high[i] - low[i]))


def test_one_seed_has_no_interval():
    low, high = statistics.bootstrap_interval(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal([low, high], np.full((2, 2), np.nan))
    assert np.isnan(statistics.bootstrap_interval(np.array([1.0]))).all()
