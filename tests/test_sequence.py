"""Replay of windows: each is consecutive steps of one row, with the carry that belongs to its first step."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from scipy import stats

from jaxrl.buffers.sequence import sequence
from jaxrl.errors import UsageError
from jaxrl.types import Observation, Rollout, Transition


def ends(time, row):
    return (time + 2 * row) % 5 == 4


def rollout(begin, length, num_rows):
    """Steps whose obs is (row, time); their next_obs is (row, time + 1), or (row, -time) where an episode ends."""
    time, row = np.meshgrid(begin + np.arange(length), np.arange(num_rows), indexing="ij")
    ended = ends(time, row)
    obs, reached = (
        Observation(jnp.asarray(np.stack([row, t], -1), jnp.float32)) for t in (time, np.where(ended, -time, time + 1))
    )
    carry = (jnp.asarray(time, jnp.float32), jnp.asarray(np.stack([row, time], -1), jnp.int32))
    steps = Transition(
        obs, jnp.asarray(ends(time - 1, row)), jnp.asarray(time, jnp.int32), jnp.asarray(time, jnp.float32),
        jnp.asarray(ended & (row % 2 == 0)), jnp.asarray(ended & (row % 2 == 1)), jnp.asarray(time % 3 > 0), reached,
        carry,
    )  # fmt: skip
    return Rollout(steps, ())


def check(items, length):
    """The (time, row) of the first steps [B] of a batch of windows, after a check of all that they hold."""
    steps = jax.tree.map(np.asarray, items.steps)
    assert steps.reward.shape == (length, items.carry[0].shape[0])
    row, time = np.moveaxis(steps.obs.features, -1, 0).astype(int)
    assert (row == row[0]).all() and (np.diff(time, axis=0) == 1).all()
    ended = ends(time, row)
    np.testing.assert_array_equal(steps.next_obs.features, np.stack([row, np.where(ended, -time, time + 1)], -1))
    np.testing.assert_array_equal(steps.first, ends(time - 1, row))
    np.testing.assert_array_equal(steps.terminated, ended & (row % 2 == 0))
    np.testing.assert_array_equal(steps.truncated, ended & (row % 2 == 1))
    np.testing.assert_array_equal(steps.valid, time % 3 > 0)
    for numbers in (steps.action, steps.reward):
        np.testing.assert_array_equal(numbers, time)
    np.testing.assert_array_equal(items.carry[0], time[0])
    np.testing.assert_array_equal(items.carry[1], np.stack([row[0], time[0]], -1))
    return list(zip(time[0], row[0], strict=True))


@pytest.mark.parametrize("priority_exponent", [None, 0.9])
@pytest.mark.parametrize(
    ("num_rows", "T", "around", "length", "stride"),
    [(2, 3, 12, 4, 2), (3, 4, 12, 5, 3), (1, 6, 12, 12, 1), (2, 12, 12, 4, 4), (2, 2, 12, 3, 1), (2, 5, 10, 5, 5)],
)
def test_every_window_that_is_held_is_dealt_and_no_other(num_rows, T, around, length, stride, priority_exponent):  # noqa: N803
    """From empty to three times around the ring: one step too few for a window, just enough, one more, the wrap."""
    buffer = sequence(around * num_rows, 600, length, stride, min_size=1, priority_exponent=priority_exponent)
    state = buffer.init(rollout(0, 1, num_rows))
    add, sample = contracts.quick(buffer.add), contracts.quick(buffer.sample)
    assert not buffer.ready(state)
    waited = 0
    for written in range(T, 3 * around + 1, T):
        state = add(state, rollout(written - T, T, num_rows))
        oldest = max(0, written - around)
        starts = [t for t in range(oldest, written - length + 1) if t % stride == 0]
        assert bool(buffer.ready(state)) == bool(starts)
        waited += not starts
        if starts:
            found = sample(state, jax.random.key(written), 0.9)
            assert set(check(found.items, length)) == {(t, r) for t in starts for r in range(num_rows)}
            np.testing.assert_array_equal(found.weights, 1)
    assert waited > 0 or length <= T


@pytest.mark.parametrize("held", [6, 7, 8])
def test_no_window_before_there_are_enough_steps(held):
    """With windows of 7 steps and any number of transitions: 6 steps hold none, 7 one, 8 two."""
    buffer = sequence(24, 100, 7, min_size=1)
    state, add = buffer.init(rollout(0, 1, 1)), contracts.quick(buffer.add)
    for t in range(held):
        state = add(state, rollout(t, 1, 1))
    assert bool(buffer.ready(state)) == (held >= 7)
    if held >= 7:
        drawn = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9)
        assert {start for start, _ in check(drawn.items, 7)} == set(range(held - 6))


def test_windows_are_as_likely_and_named_apart():
    """100,000 draws over 27 windows: chi-square p above 0.001 (the key is fixed); an index names one window."""
    buffer = sequence(36, 100_000, 4, stride=1)
    state, add = buffer.init(rollout(0, 1, 3)), contracts.quick(buffer.add)
    for begin in range(0, 16, 4):
        state = add(state, rollout(begin, 4, 3))
    drawn = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9)
    names = check(drawn.items, 4)
    windows, counts = np.unique(names, axis=0, return_counts=True)
    assert len(windows) == 27 and stats.chisquare(counts).pvalue > 0.001
    assert len(set(zip(np.asarray(drawn.indices), *np.transpose(names), strict=True))) == 27
    assert len(set(np.asarray(drawn.indices))) == 27


def test_priorities_decide():
    """100,000 draws, after two rounds of updates around a ring: chi-square against p^a over the windows that are held.

    p above 0.001 (the key is fixed); the weights give every window back what its probability took from it.
    """
    exponent, importance = 0.7, 0.5
    buffer = sequence(
        48, 100_000, 3, 2, min_size=1, priority_exponent=exponent, importance_exponent=importance, priority_floor=0.0
    )
    state, add = buffer.init(rollout(0, 1, 2)), contracts.quick(buffer.add)
    sample, update = contracts.quick(buffer.sample), contracts.quick(buffer.update)
    priority, highest = {}, 1.0
    for begin in range(0, 44, 4):
        state = add(state, rollout(begin, 4, 2))
        priority |= {(t, row): highest for t in (begin, begin + 2) for row in (0, 1)}
        if begin in (20, 32):
            drawn = sample(state, jax.random.key(begin), 0.9)
            names = check(drawn.items, 3)
            told = np.asarray([1.0 + (3 * t + row) % 5 for t, row in names])
            state = update(state, drawn.indices, jnp.asarray(told, jnp.float32))
            priority |= dict(zip(names, told, strict=True))
            highest = max(highest, told.max())
    held = [(t, row) for t in range(20, 42, 2) for row in (0, 1)]
    mass = np.array([priority[window] ** exponent for window in held])
    drawn = sample(state, jax.random.key(1), 0.9)
    names = check(drawn.items, 3)
    counts = np.array([names.count(window) for window in held])
    assert counts.sum() == 100_000 and len(set(mass)) > 3
    assert stats.chisquare(counts, 100_000 * mass / mass.sum()).pvalue > 0.001
    expected = (mass / mass.min()) ** -importance
    np.testing.assert_allclose(drawn.weights, [expected[held.index(window)] for window in names], rtol=1e-4)


def test_what_the_ends_push_out_is_never_dealt():
    """With room for few final observations less is held, and windows are only of what is."""
    buffer = sequence(80, 500, 3, min_size=1, max_ends=8)
    state, add, sample = buffer.init(rollout(0, 1, 2)), contracts.quick(buffer.add), contracts.quick(buffer.sample)
    fewest = 40
    for begin in range(0, 120, 4):
        state = add(state, rollout(begin, 4, 2))
        kept = int(state.steps.size) // 2
        starts = {t for t, _ in check(sample(state, jax.random.key(begin), 0.9).items, 3)}
        assert starts <= set(range(begin + 4 - kept, begin + 2)) and starts
        fewest = min(fewest, kept) if begin > 40 else fewest
    assert fewest < 40


def test_state_keeps_its_kind_and_its_place():
    """Adding changes no shape and no dtype, sampling uses no key twice, and neither leaves the ring."""
    buffer = sequence(24, 5, 4, stride=3)
    state, add = buffer.init(rollout(0, 1, 2)), contracts.quick(buffer.add)
    for begin in (0, 4, 8, 12):
        after = add(state, rollout(begin, 4, 2))
        assert contracts.kinds(after) == contracts.kinds(state)
        state = after
    contracts.checks_keys(buffer.sample, state, jax.random.key(0), 0.9)
    checked = contracts.quick(checkify.checkify(buffer.sample, errors=checkify.index_checks))
    checked(state, jax.random.key(0), 0.9)[0].throw()
    contracts.assert_equal(buffer.update(state, jnp.arange(5), jnp.ones(5)), state)


def test_the_buffer_is_never_copied():
    """Adding and reading in one program needs less scratch memory than a tenth of the buffer."""
    buffer = sequence(80_000, 8, 20, stride=10)
    state = jax.eval_shape(lambda: buffer.init(rollout(0, 1, 4)))

    def both(state, key):
        state = buffer.add(state, rollout(0, 20, 4))
        return state, buffer.sample(state, key, 0.9)

    memory = jax.jit(both, donate_argnums=0).lower(state, jax.random.key(0)).compile().memory_analysis()
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert size > 1_500_000 and memory.temp_size_in_bytes < 0.1 * size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((24, 4, 13), "12 steps of each row: expected at least the 13"),
        ((24, 4, 5, 5), "a multiple of the stride, 5"),
        ((24, 4, 0), "length is 0"),
        ((24, 4, 2, 0), "stride is 0"),
        ((24, 4, 2, 1, 25), "25"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        sequence(*arguments).init(rollout(0, 1, 2))
