"""Uniform replay: the latest transitions, each as likely as any other, and no copy of what is held."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from scipy import stats
from storing import part, stream, walk

from jaxrl import checkpoint
from jaxrl.buffers.prioritized import prioritized
from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError

STEPS = stream(60, 2, 0.2)
KINDS = {"uniform": uniform, "prioritized": prioritized}


def filled(make, num_rollouts, *arguments, **options):
    """A buffer and its state after rollouts [3, 2], whose actions are their numbers in the stream."""
    buffer = make(*arguments, **options)
    state, add = buffer.init(part(STEPS, 0, 1)), contracts.quick(buffer.add)
    for i in range(num_rollouts):
        state = add(state, numbered(3 * i))
    return buffer, state


def numbered(begin):
    """A rollout [3, 2] of the stream; the action of each step tells its time and row."""
    rollout = part(STEPS, begin, begin + 3)
    number = 2 * jnp.arange(begin, begin + 3)[:, None] + jnp.arange(2)
    return rollout._replace(steps=rollout.steps._replace(action=number.astype(jnp.int32)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_rollouts", [1, 2, 3, 4, 7])
def test_it_holds_the_latest(kind, num_rollouts):
    """With room for 18 transitions: before, at and after the wrap, samples are the last 18, and all of them."""
    buffer, state = filled(KINDS[kind], num_rollouts, 18, 400, 6)
    sample = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9)
    held = range(max(0, 6 * num_rollouts - 18), 6 * num_rollouts)
    valid = {i for i in held if STEPS.valid[i // 2, i % 2]}
    assert set(np.asarray(sample.items.action).tolist()) == (set(held) if kind == "uniform" else valid)
    np.testing.assert_array_equal(sample.weights, 1)
    assert sample.indices.shape == (400,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_steps", [1, 3])
def test_items_are_n_steps(kind, num_steps):
    buffer, state = filled(KINDS[kind], 7, 18, 50, num_steps=num_steps)
    items = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9).items
    for i, number in enumerate(np.asarray(items.action).tolist()):
        reward, discount, reached = walk(STEPS, number // 2, number % 2, num_steps, 21, 0.9)
        np.testing.assert_allclose(items.reward[i], reward, rtol=1e-5)
        np.testing.assert_allclose(items.discount[i], discount, rtol=1e-6)
        contracts.assert_equal(contracts.lane(items.next_obs, i), jax.tree.map(jnp.asarray, reached))


def test_every_transition_is_as_likely():
    """100,000 draws over 12 transitions: chi-square p above 0.001 (a false alarm in 1000; the key is fixed)."""
    buffer, state = filled(uniform, 2, 18, 100_000)
    numbers = contracts.quick(buffer.sample)(state, jax.random.key(0), 0.9).items.action
    counts = np.bincount(numbers, minlength=12)
    assert stats.chisquare(counts).pvalue > 0.001 and len(counts) == 12
    assert stats.chisquare(counts + np.arange(12) * 40).pvalue < 0.001  # the control: at most 5 % too many


def test_update_of_a_uniform_buffer_changes_nothing():
    buffer, state = filled(uniform, 2, 18, 4)
    contracts.assert_equal(buffer.update(state, jnp.arange(4), jnp.ones(4)), state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("min_size", "ready"), [(None, [False, True, True]), (12, [False, True, True]), (18, [False, False, True])]
)
def test_it_is_ready_once_it_has_seen_enough(kind, min_size, ready):
    buffer = KINDS[kind](18, 8, min_size)
    state, seen, add = buffer.init(part(STEPS, 0, 1)), [], contracts.quick(buffer.add)
    assert not buffer.ready(state)
    for i in range(3):
        state = add(state, numbered(3 * i))
        seen.append(bool(buffer.ready(state)))
    assert seen == ready


@pytest.mark.parametrize("kind", KINDS)
def test_state_keeps_its_kind(kind):
    """Adding and updating change no shape and no dtype, sampling uses no key twice, and no index leaves the ring."""
    buffer, state = filled(KINDS[kind], 5, 18, 20, num_steps=2)
    contracts.checks_keys(buffer.sample, state, jax.random.key(0), 0.9)

    def use(state):
        state = buffer.add(state, numbered(0))
        sample = buffer.sample(state, jax.random.key(1), 0.9)
        return buffer.update(state, sample.indices, sample.items.reward)

    assert contracts.kinds(jax.eval_shape(use, state)) == contracts.kinds(state)
    contracts.quick(checkify.checkify(use, errors=checkify.index_checks))(state)[0].throw()


def learning_loop(buffer):
    """Like a learner: one rollout is added, then three batches are dealt and judged."""

    def step(state, key, rollout):
        def body(i, both):
            state, total = both
            sample = buffer.sample(state, jax.random.fold_in(key, i), 0.9)
            total = total + (sample.weights * sample.items.reward).sum()
            return buffer.update(state, sample.indices, sample.items.reward), total

        return jax.lax.fori_loop(0, 3, body, (buffer.add(state, rollout), jnp.zeros(())))

    return step


@pytest.mark.parametrize("seeds", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_learning_copies_nothing_of_what_is_held(kind, seeds):
    """In the compiled program, also of seeds side by side; the control reads the old ring beside the new one."""
    buffer = KINDS[kind](60_000, 16, num_steps=2)
    loop = learning_loop(buffer)

    def both(state, key, rollout):
        after, total = loop(state, key, rollout)
        return after, total + buffer.sample(state, key, 0.9).items.reward.sum()

    def needed(step):
        many = jax.vmap if seeds else lambda function: function
        example = [part(STEPS, 0, 3)] * (seeds or 1)
        rollout = jax.tree.map(lambda *x: jnp.stack(x) if seeds else x[0], *example)
        keys = jax.random.split(jax.random.key(0), seeds) if seeds else jax.random.key(0)
        state = jax.eval_shape(many(buffer.init), rollout)
        compiled = jax.jit(many(step), donate_argnums=0).lower(state, keys, rollout).compile()
        held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        return compiled.memory_analysis().temp_size_in_bytes / held

    assert needed(loop) < 0.05
    assert needed(both) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_side_by_side_are_seeds_alone(kind):
    buffer = KINDS[kind](18, 8)
    rollouts = [[part(stream(15, 2, 0.3, seed), 3 * i, 3 * i + 3) for i in range(5)] for seed in range(3)]
    alone, step = [], contracts.quick(learning_loop(buffer))
    keys = jax.random.split(jax.random.key(0), 3)
    for seed in range(3):
        state = buffer.init(rollouts[seed][0])
        for rollout in rollouts[seed]:
            state, _ = step(state, keys[seed], rollout)
        alone.append(state)
    stacked = [jax.tree.map(lambda *x: jnp.stack(x), *each) for each in zip(*rollouts, strict=True)]
    state, step = jax.vmap(buffer.init)(stacked[0]), contracts.quick(jax.vmap(learning_loop(buffer)))
    for rollout in stacked:
        state, _ = step(state, keys, rollout)
    for seed in range(3):
        contracts.assert_close(contracts.lane(state, seed), alone[seed], 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_buffer_goes_on_alike(kind, tmp_path):
    buffer, state = filled(KINDS[kind], 5, 18, 8)
    step = contracts.quick(learning_loop(buffer))
    state, _ = step(state, jax.random.key(1), numbered(15))
    checkpoint.save(tmp_path / "replay", state)
    again = checkpoint.load(tmp_path / "replay", state)
    contracts.assert_equal(again, state)
    contracts.assert_equal(step(again, jax.random.key(2), numbered(18)), step(state, jax.random.key(2), numbered(18)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 2, 0), "0 transitions"),
        ((10, 2, 11), "11"),
        ((18, 2, None, 0), "num_steps is 0"),
        ((20, 2), "multiple of the 6"),
    ],
)
def test_what_cannot_work_is_refused(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        filled(KINDS[kind], 1, *arguments)
