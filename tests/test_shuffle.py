"""The shuffle: always a bijection, and as good as uniform."""

import contracts
import jax
import numpy as np
import pytest
from scipy import stats

from jaxrl.shuffle import permutation


@pytest.mark.parametrize("n", [*range(1, 40), 63, 64, 65, 127, 128, 129, 500, 1000, 4096, 4097, 100_003])
def test_it_is_a_bijection(n):
    order = np.asarray(jax.jit(permutation, static_argnums=1)(jax.random.key(n), n))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def draw(n, num_draws, seed=0):
    shuffle = contracts.quick(jax.vmap(lambda key: permutation(key, n)))
    return np.asarray(shuffle(jax.random.split(jax.random.key(seed), num_draws)))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16, 100])
def test_every_item_is_as_likely_everywhere(n):
    """Counts of (position, item) over 20,000 shuffles: chi-square p above 0.001 (the key is fixed)."""
    orders = draw(n, 20_000)
    counts = np.stack([np.bincount(orders[:, i], minlength=n) for i in range(n)])
    expected = 20_000 / n
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, (n - 1) ** 2) > 0.001


@pytest.mark.parametrize("n", [5, 8, 64])
def test_every_pair_is_as_likely_side_by_side(n):
    """Counts of (item, next item) over 20,000 shuffles, so that items do not travel together."""
    orders = draw(n, 20_000, seed=1)
    pairs = np.bincount((orders[:, :-1] * n + orders[:, 1:]).ravel(), minlength=n * n).reshape(n, n)
    assert (np.diag(pairs) == 0).all()
    pairs = pairs[~np.eye(n, dtype=bool)]
    expected = 20_000 * (n - 1) / len(pairs)
    statistic = ((pairs - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, len(pairs) - 1) > 0.001


def test_all_orders_of_four_occur():
    """All 24 orders of 4 items occur, and about as often (with so few items the network is not perfect)."""
    orders = draw(4, 24_000)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24 and counts.min() > 800 and counts.max() < 1200


def test_keys_decide():
    """Equal keys give equal orders; 200 keys give 200 orders of 64 items; no key is used twice."""
    contracts.assert_equal(permutation(jax.random.key(3), 64), permutation(jax.random.key(3), 64))
    assert len(np.unique(draw(64, 200), axis=0)) == 200
    contracts.checks_keys(lambda key: permutation(key, 64), jax.random.key(0))
