"""Where the starts of episodes come from: every episode its own, whether drawn on demand or dealt from a reservoir."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs, spaces
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

ROWS = 6
MASKS = np.arange(2**ROWS)[:, None] >> np.arange(ROWS) & 1  # every subset of six rows


def on_demand():
    """The start is a random number; the action 1 ends the episode."""

    def reset(key, params):
        start = jax.random.bits(key, (), jnp.uint32)
        return start, start

    def step(key, state, action, params):
        return state, state, jnp.float32(0), action == 1

    return Environment(reset, step, spaces.Discrete(2**31 - 1, np.uint32), spaces.Discrete(2))


def test_every_episode_has_a_start_of_its_own():
    """1000 episodes over 8 rows begin with 1000 different strings of 64 random bits."""
    for renewed in (None, 3, 8):
        venv = vectorize(envs.make("random_start", length=3), 8, renewed=renewed)

        def roll(key, venv=venv):
            def step(both, key):
                state, timestep = venv.step(key, both[0], jnp.zeros(8, jnp.int32), ())
                return (state, timestep), timestep

            keys = jax.random.split(key, 376)
            return jax.lax.scan(step, venv.reset(keys[0], ()), keys[1:])[1]

        timesteps = contracts.quick(roll)(jax.random.key(0))
        starts = np.asarray(timesteps.obs.features)[np.asarray(timesteps.first)]
        assert len(starts) == 1000
        assert len(np.unique(starts, axis=0)) == 1000
        assert renewed is None or np.asarray(timesteps.info["reused_starts"]).max() == 0


def test_rows_start_independently():
    """The first observations of two rows agree in half of their bits, up to 4 / sqrt(n)."""
    for renewed in (None, 2):
        venv = vectorize(envs.make("random_start", num_bits=4096), 3, renewed=renewed)
        bits = np.asarray(venv.reset(jax.random.key(0), ())[1].obs.features)
        correlation = np.corrcoef(bits)[np.triu_indices(3, 1)]
        assert np.abs(correlation).max() < 4 / np.sqrt(4096)


@pytest.mark.parametrize("renewed", [None, 1, 2, 3, 6])
def test_every_subset_of_ending_rows_gets_fresh_starts(renewed):
    """After every subset of six rows, every subset, three times over.

    Rows that end get starts that nobody had before, or their last one again, which is counted, where the reservoir
    has not renewed it; the other rows keep their bits.
    """
    venv = vectorize(on_demand(), ROWS, renewed=renewed)

    def roll(key, masks):
        reset_key, *step_keys = jax.random.split(key, 7)
        first = venv.reset(reset_key, ())

        def step(both, x):
            state, timestep = venv.step(x[0], both[0], x[1], ())
            return (state, timestep), timestep

        return first[1], jax.lax.scan(step, first, (jnp.stack(step_keys), masks))[1]

    pairs = np.stack([np.repeat(MASKS, 64, axis=0), np.tile(MASKS, (64, 1))], axis=1)  # [4096, 2, 6]
    masks = np.tile(pairs, (1, 3, 1))  # [4096, 6, 6]
    keys = jax.random.split(jax.random.key(0), len(masks))
    first, timesteps = contracts.quick(jax.vmap(roll))(keys, masks)
    starts = np.asarray(timesteps.obs.features)  # [4096, 6, 6]
    before = np.concatenate([np.asarray(first.obs.features)[:, None], starts[:, :-1]], axis=1)
    np.testing.assert_array_equal(timesteps.final_obs.features, before)
    np.testing.assert_array_equal(starts[masks == 0], before[masks == 0])
    if renewed:
        reported = np.asarray(timesteps.info["reused_starts"])[:, :, 0]
        np.testing.assert_array_equal(reported, expected_reuse(masks, renewed))
    else:
        reported = np.zeros(masks.shape[:2], int)
    for run in range(len(masks)):
        dealt = starts[run][masks[run] == 1]
        everyone = np.concatenate([np.asarray(first.obs.features)[run], dealt])
        assert len(np.unique(everyone)) >= len(everyone) - reported[run, -1]
        if reported[run, -1] == 0:
            assert len(np.unique(everyone)) == len(everyone)


def expected_reuse(masks, renewed):
    """int [R, T]: starts that were dealt again so far, where before each step the next `renewed` of six are renewed."""
    used, reused = np.zeros((len(masks), ROWS), bool), np.zeros(masks.shape[:2], int)
    for t in range(masks.shape[1]):
        used[:, (t * renewed + np.arange(renewed)) % ROWS] = False
        reused[:, t] = np.sum(used & (masks[:, t] == 1), axis=1)
        used |= masks[:, t] == 1
    return np.cumsum(reused, axis=1)
