"""The memory chain against bsuite's own episodes and, in every state, against gymnax's port of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import compat, envs, exact
from jaxrl.errors import UsageError

# Episodes of bsuite 0.3.6 (seeds 1 and 2): length, bits, number asked for, actions, last reward, observations.
EPISODES = [
    (3, [0, 1], 0, [0, 1, 0, 1], -1, [[1, 0, -1, 1], [1, 0, -1, 1], [2 / 3, 0, 0, 0], [1 / 3, 0, 0, 0], [0, 0, 0, 0]]),
    (
        4, [0, 0, 0], 1, [0, 1, 0, 1, 0], 1,
        [[1, 0, -1, -1, -1], [1, 0, -1, -1, -1], [0.75, 0, 0, 0, 0], [0.5, 0, 0, 0, 0], [0.25, 1, 0, 0, 0], [0] * 5],
    ),
]  # fmt: skip


def index(length, num_bits, context, query, time):
    """The state that stands for these; context as one number, bit 0 first."""
    return (context * num_bits + query) * (length + 1) + time


@pytest.mark.parametrize(("length", "bits", "query", "actions", "last", "seen"), EPISODES)
def test_an_episode_is_bsuites(length, bits, query, actions, last, seen):
    env = envs.make("memory_chain", length=length, num_bits=len(bits))
    step = jax.jit(env.step)
    state = jnp.int32(index(length, len(bits), sum(bit << i for i, bit in enumerate(bits)), query, 0))
    rewards, ends, shown = [], [], []
    for action in actions:
        state, obs, reward, ended = step(jax.random.key(0), state, jnp.int32(action), ())
        rewards, ends, shown = [*rewards, float(reward)], [*ends, bool(ended)], [*shown, obs]
    np.testing.assert_allclose(shown, seen[1:], atol=1e-6)
    assert rewards == [0] * length + [last] and ends == [False] * length + [True]
    assert float(env.measure(state, ())["success"]) == (last == 1)


@pytest.mark.parametrize(("length", "num_bits"), [(1, 1), (7, 1), (10, 5)])
def test_every_state_and_action_is_gymnaxs(length, num_bits):
    env = envs.make("memory_chain", length=length, num_bits=num_bits)
    peer = compat.gymnax("MemoryChain-bsuite", {"num_bits": num_bits, "memory_length": length})
    example = peer.reset(jax.random.key(0), peer.params)[0]

    def both(context, query, time, action):
        theirs = example.replace(context=context >> jnp.arange(num_bits) & 1, query=query, time=time)
        key, ours = jax.random.key(0), index(length, num_bits, context, query, time)
        after, *shown = peer.step(key, theirs, action, peer.params)
        mine, *seen = env.step(key, ours, action, env.params)
        return mine, after.time, seen, shown

    pairs = np.indices((2**num_bits, num_bits, length + 1, 2), np.int32).reshape(4, -1)
    mine, time, seen, shown = jax.jit(jax.vmap(both))(*pairs)
    for ours, theirs in zip(seen, shown, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for world in (env, peer):
        assert jax.vmap(world.observation_space.contains)(seen[0]).all()
    goes_on = ~np.asarray(seen[2])
    np.testing.assert_array_equal(mine[goes_on], index(length, num_bits, *pairs[:2, goes_on], time[goes_on]))
    assert (~goes_on).sum() == 2 * 2**num_bits * num_bits and (num_bits < 5 or pairs.shape[1] == 3520)


def test_starts_show_the_bits_and_are_alike_probable():
    env = envs.make("memory_chain", length=3, num_bits=2)
    states, obs = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), 4000), ())
    counts = np.bincount(np.asarray(states), minlength=34)
    assert (counts > 0).sum() == 8 and abs(counts[counts > 0] - 500).max() < 4 * np.sqrt(500)
    assert {tuple(row) for row in np.asarray(obs).tolist()} == {(1, 0, a, b) for a in (-1, 1) for b in (-1, 1)}


def test_the_answer_is_all_that_counts():
    """Exactly: the best return is 1, one answer for all is worth 0; bad sizes are refused."""
    env = envs.make("memory_chain", length=4, num_bits=3)
    model = env.model(())
    assert exact.start_value(model, exact.value_iteration(model, 1.0).max(-1)) == pytest.approx(1)
    always_zero = exact.policy_value(model, np.zeros(model.start.size, int), horizon=9)
    assert exact.start_value(model, always_zero) == pytest.approx(0)
    with pytest.raises(UsageError, match="length is 0: expected at least 1"):
        envs.make("memory_chain", length=0)
    with pytest.raises(UsageError, match="num_bits is 9: expected a number from 1 to 8"):
        envs.make("memory_chain", num_bits=9)
