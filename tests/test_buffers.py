"""Uniform replay: a ring that gives back what it was given, each transition as likely as any other."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from scipy import stats

from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError
from jaxrl.types import Observation, Rollout, Transition


def rollout(start, length=3, num_rows=2):
    """Transitions that are numbered from `start`, by time and then by row, in every field."""
    number = start + np.arange(length * num_rows).reshape(length, num_rows)
    flag = jnp.asarray(number % 2 == 0)
    pixels = jnp.asarray(np.stack([number, number + 1], -1), jnp.uint8)[..., None]
    obs = Observation((jnp.asarray(number, jnp.float32), pixels), legal=jnp.stack([flag, ~flag], -1))
    steps = Transition(
        obs, flag, jnp.asarray(number, jnp.int32), jnp.asarray(number, jnp.float32), flag, ~flag, flag, obs, (),
    )  # fmt: skip
    return Rollout(steps, ())


def number_of(items):
    """The numbers of a batch of transitions, after a check that all fields of each are of one transition."""
    number = np.asarray(items.action)
    np.testing.assert_array_equal(items.obs.features[0], number)
    np.testing.assert_array_equal(items.obs.features[1][..., 0], np.stack([number, number + 1], -1).astype(np.uint8))
    np.testing.assert_array_equal(items.reward, number)
    for flag in (items.discount == 0, items.valid, items.next_obs.legal[:, 0]):
        np.testing.assert_array_equal(flag, number % 2 == 0)
    assert items.obs.features[1].dtype == jnp.uint8 and items.valid.dtype == bool
    return number


def filled(capacity, num_rollouts, batch=200):
    buffer = uniform(capacity, batch, 6)
    state, add = buffer.init(rollout(0, length=1)), contracts.quick(buffer.add)
    for i in range(num_rollouts):
        state = add(state, rollout(6 * i))
    return buffer, state


@pytest.mark.parametrize("num_rollouts", [1, 2, 3, 4, 7])
def test_it_holds_the_latest(num_rollouts):
    """With room for 18 transitions: before, at and after the wrap, samples are the last 18, and all of them."""
    buffer, state = filled(18, num_rollouts)
    sample = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9)
    held = range(max(0, 6 * num_rollouts - 18), 6 * num_rollouts)
    assert set(number_of(sample.items)) == set(held)
    assert int(state.size) == len(held)
    np.testing.assert_array_equal(sample.weights, 1)
    assert sample.indices.shape == (200,)
    again = buffer.update(state, sample.indices, jnp.ones(200))
    contracts.assert_equal(again, state)


def test_every_transition_is_as_likely():
    """100,000 draws over 12 transitions: chi-square p above 0.001 (a false alarm in 1000; the key is fixed)."""
    buffer, state = filled(18, 2, batch=100_000)
    counts = np.bincount(number_of(contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9).items), minlength=12)
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("min_size", "ready"), [(None, [False, True, True]), (12, [False, True, True]), (18, [False, False, True])]
)
def test_it_is_ready_once_it_holds_enough(min_size, ready):
    buffer = uniform(18, 8, min_size)
    state, seen = buffer.init(rollout(0, length=1)), []
    for i in range(3):
        state = buffer.add(state, rollout(6 * i))
        seen.append(bool(buffer.ready(state)))
    assert seen == ready


def test_state_keeps_its_kind():
    """Adding changes no shape and no dtype, sampling uses no key twice, and neither leaves the ring."""
    for num_rollouts in (1, 3, 5):
        buffer, state = filled(18, num_rollouts)
        assert contracts.kinds(buffer.add(state, rollout(0))) == contracts.kinds(state)
        contracts.checks_keys(buffer.sample, state, jax.random.key(0), 0.9)
        for function, arguments in ((buffer.add, [rollout(0)]), (buffer.sample, [jax.random.key(0), 0.9])):
            checkify.checkify(function, errors=checkify.index_checks)(state, *arguments)[0].throw()


@pytest.mark.parametrize(
    ("capacity", "batch", "min_size", "message"),
    [(10, 20, None, "10"), (10, 2, 11, "11"), (20, 2, None, "multiple of the 6")],
)
def test_what_cannot_work_is_refused(capacity, batch, min_size, message):
    with pytest.raises(UsageError, match=message):
        buffer = uniform(capacity, batch, min_size)
        buffer.add(buffer.init(rollout(0, length=1)), rollout(0))
