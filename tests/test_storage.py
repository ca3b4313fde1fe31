"""The storage room of replay: what is read is what was written, however it wraps, ends and drops."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from storing import part, stream, walk

from jaxrl import checkpoint
from jaxrl.buffers import memory, storage
from jaxrl.errors import UsageError
from jaxrl.types import Observation, Rollout, Transition

ADD, READ, READ_FLAGS = (contracts.quick(each) for each in (storage.add, storage.read, storage.read_flags))
READ_STEPS = contracts.quick(lambda state, slots: [storage.read_steps(state, slots, n, 0.9) for n in (1, 2, 3, 4)])


def filled(steps, capacity, max_ends, length):
    """The states after each rollout [length, N] of a stream."""
    state, states = storage.init(part(steps, 0, 1), capacity, max_ends), []
    for begin in range(0, steps.reward.shape[0], length):
        state = ADD(state, part(steps, begin, begin + length))
        states.append(state)
    return states


PLACE = contracts.quick(
    lambda state, number: (s := storage.held(state, number), storage.number(state, s), storage.steps_left(state, s))
)


def held(state, written):
    """(slots, times in the stream, rows) of all that is held, from the oldest on; [C], so the newest may come often."""
    size, num_rows = int(state.size), storage.sizes(state)[1]
    number = np.minimum(np.arange(24), size - 1)
    time = written - size // num_rows + number // num_rows
    slots, again, left = PLACE(state, number)
    np.testing.assert_array_equal(again, number)
    np.testing.assert_array_equal(left, written - time)
    return slots, time, number % num_rows


CASES = {  # rows, steps of a rollout, room for ends, probability of an end, agents
    "roomy": (2, 3, None, 0.2, ()),
    "short episodes": (2, 3, 6, 0.5, ()),
    "every step ends": (2, 3, 8, 2.0, ()),
    "one step at a time": (2, 1, 8, 0.2, ()),
    "one row": (1, 1, 4, 0.2, ()),
    "agents": (2, 3, 9, 0.1, (2,)),
    "the whole ring at once": (2, 12, 24, 0.2, ()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_held_is_what_was_written(name):
    """Every field, bit for bit, of every transition that is held, before, at and after both rings wrap."""
    num_rows, length, max_ends, ends, agents = CASES[name]
    steps = stream(60, num_rows, ends, agents=agents)
    sizes = []
    for i, state in enumerate(filled(steps, 24, max_ends, length)):
        written = length * (i + 1)
        slots, time, row = held(state, written)
        contracts.assert_equal(
            jax.tree.map(np.asarray, READ(state, slots)), jax.tree.map(lambda x, t=time, r=row: x[t, r], steps)
        )
        contracts.assert_equal(READ_FLAGS(state, slots), storage.Flags(*(
            jnp.asarray(flag[time, row]) for flag in (steps.first, steps.terminated, steps.truncated, steps.valid)
        )))  # fmt: skip
        sizes.append(int(state.size))
        assert length * num_rows <= sizes[-1] <= min(24, written * num_rows)
    if name in ("roomy", "the whole ring at once"):
        assert sizes == [min(24, length * num_rows * (i + 1)) for i in range(len(sizes))]
    if name == "every step ends":
        assert set(sizes) == {6}


@pytest.mark.parametrize("name", ["roomy", "short episodes", "one step at a time", "agents"])
def test_n_steps_stop_at_an_end_and_at_the_newest_step(name):
    """From every start in a wrapped ring, against a walk in plain Python, for n from 1 to 4."""
    num_rows, length, max_ends, ends, agents = CASES[name]
    steps = stream(42, num_rows, ends, agents=agents)
    for i, state in enumerate(filled(steps, 24, max_ends, length)):
        written = length * (i + 1)
        if written < 36:
            continue
        slots, time, row = held(state, written)
        for num_steps, items in enumerate(READ_STEPS(state, slots), 1):
            wanted = [walk(steps, t, n, num_steps, written, 0.9) for t, n in zip(time, row, strict=True)]
            rewards, discounts, reached = (
                jax.tree.map(lambda *x: np.stack(x), *each) for each in zip(*wanted, strict=True)
            )
            np.testing.assert_allclose(items.reward, rewards, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(items.discount, discounts, rtol=1e-6)
            contracts.assert_equal(jax.tree.map(np.asarray, items.next_obs), reached)
            begin = jax.tree.map(lambda x, t=time, r=row: x[t, r], steps)
            for field in ("obs", "action", "valid", "extras"):
                contracts.assert_equal(jax.tree.map(np.asarray, getattr(items, field)), getattr(begin, field))


def test_windows_are_consecutive_steps_of_one_row():
    steps = stream(60, 2, 0.2)
    state = filled(steps, 24, None, 3)[-1]
    slots, time, row = held(state, 60)
    begin = np.flatnonzero(time <= 60 - 5)
    window = READ(state, storage.later(state, slots[begin], jnp.arange(5)[:, None]))
    index = (time[begin] + np.arange(5)[:, None], row[begin])
    contracts.assert_equal(jax.tree.map(np.asarray, window), jax.tree.map(lambda x: x[index], steps))


def test_a_rollout_may_be_of_any_length():
    """What is held does not depend on the lengths in which it was written."""
    steps = stream(36, 2, 0.3)
    long, short = filled(steps, 24, 24, 6)[-1], filled(steps, 24, 24, 2)[-1]
    slots, _, _ = held(long, 36)
    assert int(short.size) == int(long.size)
    contracts.assert_equal(READ(long, slots), READ(short, slots))


def cartpole(num_rows=64):
    example = jax.ShapeDtypeStruct((1, num_rows), jnp.float32)
    flag, obs = jax.ShapeDtypeStruct((1, num_rows), bool), jax.ShapeDtypeStruct((1, num_rows, 4), jnp.float32)
    action = jax.ShapeDtypeStruct((1, num_rows), jnp.int32)
    return Rollout(
        Transition(Observation(obs), flag, action, example, flag, flag, flag, Observation(obs), ()), ()
    )  # fmt: skip


def test_a_transition_of_cartpole_takes_25_bytes():
    """And what is said beforehand is what is allocated, but for a few counters."""
    sizes = storage.num_bytes(cartpole(), 64_000)
    assert sizes["transitions"] == 25 * 64_000
    assert sizes["ends"] == (64 + 8000) * 24 + 8000 * 4
    state = jax.eval_shape(
        lambda: storage.init(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), cartpole()), 64_000)
    )
    allocated = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert allocated == sum(sizes.values()) + 16


def test_what_cannot_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    example = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), cartpole())
    storage.init(example, 24_960)
    with pytest.raises(UsageError, match=r"64,000 transitions takes 1,825,536 bytes.* 1,000,000 .*lower the capacity"):
        storage.init(example, 64_000)


def test_the_memory_of_this_machine_is_known():
    assert memory.available_bytes() > 2**28
    memory.check_fits(2**20, 10)
    with pytest.raises(UsageError, match="lower the capacity"):
        memory.check_fits(2**60, 10)


@pytest.mark.parametrize(
    ("capacity", "max_ends", "message"),
    [(25, None, "capacity is 25, .* multiple of the 2 rows"), (20, None, "capacity is 20, .* multiple of the 6"),
     (24, 5, "max_ends is 5, .* at least the 6")],
)  # fmt: skip
def test_what_cannot_work_is_refused(capacity, max_ends, message):
    steps = stream(3, 2, 0.2)
    with pytest.raises(UsageError, match=message):
        storage.add(storage.init(part(steps, 0, 1), capacity, max_ends), part(steps, 0, 3))


def test_it_counts_what_it_has_seen_though_it_holds_less():
    steps = stream(12, 2, 2.0)
    states = filled(steps, 24, 6, 3)
    assert [int(state.size) for state in states] == [6, 6, 6, 6]
    assert [bool(storage.has_seen(state, 15)) for state in states] == [False, False, True, True]


def test_indices_stay_inside():
    steps = stream(30, 2, 0.3)

    def use(state, slots):
        return (
            storage.add(state, part(steps, 0, 3)),
            storage.read(state, slots),
            storage.read_steps(state, slots, 3, 0.9),
        )

    checked = contracts.quick(checkify.checkify(use, errors=checkify.index_checks))
    for i, state in enumerate(filled(steps, 24, 8, 3)):
        checked(state, held(state, 3 * (i + 1))[0])[0].throw()


def test_it_is_saved_and_loaded_whole(tmp_path):
    steps = stream(45, 2, 0.3)
    state = filled(steps, 24, 8, 3)[-1]
    checkpoint.save(tmp_path / "replay", state)
    again = checkpoint.load(tmp_path / "replay", state)
    contracts.assert_equal(again, state)
    contracts.assert_equal(ADD(again, part(steps, 0, 3)), ADD(state, part(steps, 0, 3)))


def test_seeds_side_by_side_are_seeds_alone():
    """Three seeds with ends at different times, so that their side tables are at different places."""
    streams = [stream(30, 2, 0.3, seed) for seed in range(3)]
    alone = [filled(steps, 24, 8, 3)[-1] for steps in streams]
    state = jax.vmap(lambda example: storage.init(example, 24, 8))(
        jax.tree.map(lambda *x: jnp.stack(x), *[part(steps, 0, 1) for steps in streams])
    )
    add = contracts.quick(jax.vmap(storage.add))
    for begin in range(0, 30, 3):
        rollouts = [part(steps, begin, begin + 3) for steps in streams]
        state = add(state, jax.tree.map(lambda *x: jnp.stack(x), *rollouts))
    for i in range(3):
        contracts.assert_equal(contracts.lane(state, i), alone[i])
    assert len({int(each.cursor) for each in alone}) > 1
