"""Prioritised replay: the law of its draws, its weights, and the tree of sums behind it."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from storing import part, stream

from jaxrl.buffers import prioritized as module
from jaxrl.buffers import storage, sum_tree
from jaxrl.buffers.prioritized import prioritized
from jaxrl.errors import UsageError

STEPS = stream(60, 2, 0.3)
STEPS = STEPS._replace(valid=np.ones_like(STEPS.valid))


def filled(buffer, num_rollouts, priorities=None):
    """The state after rollouts [3, 2]; then slot i has priority priorities[i]."""
    state, add = buffer.init(part(STEPS, 0, 1)), contracts.quick(buffer.add)
    for i in range(num_rollouts):
        state = add(state, part(STEPS, 3 * i, 3 * i + 3))
    return state if priorities is None else buffer.update(state, jnp.arange(len(priorities)), jnp.asarray(priorities))


# The tree


def sums_hold(tree):
    """Every number above the leaves is the sum of its children, to rounding."""
    for below, above in zip(tree[:-1], tree[1:], strict=True):
        sums = np.asarray(below, np.float64).reshape(-1, sum_tree.CHILDREN).sum(-1)
        np.testing.assert_allclose(np.asarray(above)[: len(sums)], sums, rtol=1e-6)
        assert (np.asarray(above)[len(sums) :] == 0).all()


@pytest.mark.parametrize("capacity", [1, 16, 17, 256, 1000, 5000])
def test_the_root_stays_the_sum_of_the_leaves(capacity):
    """After 10,000 updates of leaves and of ranges, with numbers from 1e-6 to 1e3 and with leaves named twice."""
    tree, random = sum_tree.init(capacity), np.random.default_rng(0)

    def change(tree, some):
        leaves, numbers, start = some
        tree = sum_tree.write(tree, leaves, numbers)
        return sum_tree.write_range(tree, start, numbers[: min(20, capacity)]), None

    leaves = random.integers(0, capacity, (5000, 24)).astype(np.int32)
    numbers = 10 ** random.uniform(-6, 3, (5000, 24)).astype(np.float32)
    start = random.integers(0, max(1, capacity - 20) if capacity > 20 else 1, 5000).astype(np.int32)
    tree = contracts.quick(lambda tree: jax.lax.scan(change, tree, (leaves, numbers, start))[0])(tree)
    sums_hold(tree)
    total = np.asarray(tree[0], np.float64).sum()
    np.testing.assert_allclose(sum_tree.total(tree), total, rtol=1e-6)
    assert sum(leaf.size * 4 for leaf in tree) == sum_tree.num_bytes(capacity)
    np.testing.assert_array_equal(np.asarray(tree[0])[capacity:], 0)


def test_a_place_is_found_where_plain_sums_say():
    """1000 leaves, a third of them 0, at places in, at and just before the borders, which floats tell exactly."""
    random = np.random.default_rng(0)
    numbers = random.integers(0, 3, 1000) * random.integers(1, 100, 1000) / 8
    tree = sum_tree.write_range(sum_tree.init(1000), jnp.int32(0), jnp.asarray(numbers, jnp.float32))
    borders = np.concatenate([[0], np.cumsum(numbers)])
    inner = borders[:-1][numbers > 0]
    places = np.concatenate([inner, inner + numbers[numbers > 0] - 1 / 16, inner + numbers[numbers > 0] / 2])
    leaves, found = sum_tree.find(tree, jnp.asarray(places, jnp.float32), jnp.zeros(len(places)))
    np.testing.assert_array_equal(leaves, np.searchsorted(borders, places, side="right") - 1)
    np.testing.assert_array_equal(found, numbers[np.asarray(leaves)].astype(np.float32))
    every = np.arange(1000)
    np.testing.assert_array_equal(sum_tree.before(tree, jnp.asarray(every)), borders[:-1].astype(np.float32))


def test_a_place_at_the_very_end_is_in_the_last_leaf_that_counts():
    tree = sum_tree.write(sum_tree.init(1000), jnp.array([3, 500, 700]), jnp.array([1.0, 2.0, 4.0]))
    leaves, _ = sum_tree.find(tree, jnp.array([7.0, 8.0]), jnp.zeros(2))
    np.testing.assert_array_equal(leaves, 700)


def test_a_leaf_below_0_is_passed_over():
    tree = sum_tree.write(sum_tree.init(300), jnp.arange(300), jnp.ones(300))
    again = sum_tree.write(tree, jnp.array([-1, 5, -1]), jnp.array([9.0, 3.0, 9.0]))
    assert float(sum_tree.total(again)) == 302
    contracts.assert_equal(sum_tree.write(tree, jnp.array([5]), jnp.array([3.0])), again)
    sums_hold(again)


def test_small_leaves_among_a_million_keep_their_share():
    """A float32 place is too coarse to tell these apart; the dither is what gives each leaf its own.

    Leaves of 1 in the first half, of 0.01 in the second, whose places are multiples of 1/32: without the dither only
    one in three of them can be found. 2^18 draws over the second half, in 64 groups that look alike to the coarse
    places: chi-square p above 0.001, and the control without the dither fails.
    """
    size = 1 << 20
    leaves = np.where(np.arange(size) < size // 2, 1, 0.01).astype(np.float32)
    tree = [jnp.asarray(leaves)]
    while tree[-1].size > sum_tree.CHILDREN:
        tree.append(tree[-1].reshape(-1, sum_tree.CHILDREN).sum(-1))
    part, dither = jax.random.uniform(jax.random.key(0), (2, 1 << 18))
    whole = sum_tree.total(tree)
    places = jnp.float32(size // 2) + part * 0.01 * (size // 2)
    find = contracts.quick(sum_tree.find)
    drawn = {
        use: np.asarray(find(tree, places, dither * use * sum_tree.COARSEST * whole)[0]) for use in (0.0, 1.0)
    }  # fmt: skip
    different = {use: len(np.unique(found)) for use, found in drawn.items()}
    assert different[0.0] < 0.6 * different[1.0]
    counts = np.bincount(drawn[1.0] % 64, minlength=64)
    assert stats.chisquare(counts).pvalue > 0.001


# The draws


@pytest.mark.parametrize("num_rollouts", [2, 3, 4])
def test_draws_follow_the_law(num_rollouts):
    """100,000 draws against p^a / sum, p from 0.01 to 10: chi-square p above 0.001; the control takes another a."""
    buffer = prioritized(18, 1000, priority_exponent=0.6)
    size = min(18, 6 * num_rollouts)
    priorities = np.geomspace(0.01, 10, size)
    state = filled(buffer, num_rollouts, priorities)
    slots = contracts.quick(
        lambda keys: jax.lax.map(lambda key: buffer.sample(state, key, 0.9).indices, keys)
    )(jax.random.split(jax.random.key(0), 100))  # fmt: skip
    counts = np.bincount(np.asarray(slots).ravel(), minlength=18)
    assert counts[size:].sum() == 0

    def p_value(exponent):
        law = priorities**exponent / (priorities**exponent).sum()
        return stats.chisquare(counts[:size], law * counts.sum()).pvalue

    assert p_value(0.6) > 0.001
    assert p_value(0.65) < 0.001


def test_what_was_dropped_is_never_drawn():
    """Where episodes are short less is held than there is room for; the rest keeps its law, also around the end."""
    buffer = prioritized(24, 1000, max_ends=6, priority_exponent=1.0)
    state, add, sizes = buffer.init(part(STEPS, 0, 1)), contracts.quick(buffer.add), set()
    draw = contracts.quick(lambda state, key: module.draw(state, key, 50_000)[0])
    for i in range(12):
        state = add(state, part(STEPS, 3 * i, 3 * i + 3))
        state = buffer.update(state, jnp.arange(24), jnp.where(state.tree[0][:24] > 0, 1.0 + jnp.arange(24), 0))
        size = int(state.storage.size)
        held = np.asarray(storage.held(state.storage, jnp.arange(size)))
        law = np.zeros(24)
        law[held] = 1 + held
        counts = np.bincount(draw(state, jax.random.key(i)), minlength=24)
        assert counts[law == 0].sum() == 0
        assert stats.chisquare(counts[held], law[held] / law.sum() * 50_000).pvalue > 0.0001
        np.testing.assert_allclose(module.mass(state), law.sum(), rtol=1e-4)
        sizes.add((size, int(held[0]) > int(held[-1])))
    assert len(sizes) > 3 and {around for _, around in sizes} == {False, True}


def test_draws_are_stratified():
    """One draw from each 18th of the mass: with equal priorities, each slot once."""
    buffer = prioritized(18, 18)
    indices = contracts.quick(buffer.sample)(filled(buffer, 3), jax.random.key(0), 0.9).indices
    np.testing.assert_array_equal(np.sort(indices), np.arange(18))


def test_weights_at_full_exponent_give_back_the_uniform_mean():
    """Within 3 standard errors, from 200 batches; the plain mean of what is dealt is far away."""
    buffer = prioritized(18, 500, importance_start=1.0)
    state = filled(buffer, 3, np.geomspace(0.1, 10, 18))

    def deal(key):
        sample = buffer.sample(state, key, 0.9)
        x = sample.indices**2.0
        return (sample.weights * x).sum() / sample.weights.sum(), x.mean()

    weighted, plain = contracts.quick(lambda keys: jax.lax.map(deal, keys))(jax.random.split(jax.random.key(0), 200))
    wanted, error = (np.arange(18) ** 2.0).mean(), np.std(weighted) / np.sqrt(200)
    assert abs(np.mean(weighted) - wanted) < 3 * error + 1e-3 * wanted
    assert abs(np.mean(plain) - wanted) > 20 * error


def test_the_importance_exponent_rises_to_1_and_stays():
    buffer = prioritized(18, 6, importance_start=0.4, importance_updates=3)
    state, exponents = filled(buffer, 1), []
    for _ in range(6):
        exponents.append(float(state.exponent))
        state = buffer.update(state, jnp.arange(2), jnp.ones(2))
    np.testing.assert_allclose(exponents, [0.4, 0.6, 0.8, 1, 1, 1], rtol=1e-6)
    assert max(exponents) <= 1
    state = filled(buffer, 1, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    sample = buffer.sample(state, jax.random.key(0), 0.9)
    p = (2.0 ** np.asarray(sample.indices)) ** 0.6
    np.testing.assert_allclose(sample.weights, (p / p.min()) ** -float(state.exponent), rtol=1e-4)


def test_new_items_have_the_highest_priority_so_far():
    buffer = prioritized(18, 6, priority_exponent=0.5)
    state = filled(buffer, 1)
    np.testing.assert_array_equal(state.tree[0][:7], [1, 1, 1, 1, 1, 1, 0])
    state = buffer.update(state, jnp.array([2, 3]), jnp.array([-9.0, 0.04]))
    np.testing.assert_allclose(state.tree[0][:6], [1, 1, 3, 0.2, 1, 1], rtol=1e-4)
    state = buffer.update(state, jnp.array([2]), jnp.array([0.25]))
    state = buffer.add(state, part(STEPS, 3, 6))
    np.testing.assert_allclose(state.tree[0][2:12], [0.5, 0.2, 1, 1, 3, 3, 3, 3, 3, 3], rtol=1e-4)


def test_what_is_not_valid_is_never_drawn():
    valid = np.ones_like(STEPS.valid)
    valid[::2, 0] = False
    rollout = part(STEPS._replace(valid=valid), 0, 3)
    buffer = prioritized(18, 200)
    state = buffer.add(buffer.init(rollout), rollout)
    sample = buffer.sample(state, jax.random.key(0), 0.9)
    assert set(np.asarray(sample.indices).tolist()) == {1, 2, 3, 5}
    assert bool(sample.items.valid.all())


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_no_number_counts_as_the_highest(error):
    buffer = prioritized(18, 6)
    state = buffer.update(filled(buffer, 1), jnp.array([1, 2]), jnp.array([error, 0.5]))
    assert float(state.tree[0][1]) == 1 and np.isfinite(sum_tree.total(state.tree))
    assert np.isfinite(buffer.sample(state, jax.random.key(0), 0.9).weights).all()


@pytest.mark.parametrize(
    "options",
    [{"importance_start": 1.5}, {"importance_start": -0.1}, {"importance_updates": 0}, {"priority_exponent": -1.0}],
)
def test_what_cannot_work_is_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        prioritized(18, 6, **options)
