"""`vectorize`: the table of endings, with one agent and with several, and where the starts of episodes come from."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs, spaces
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize


def script(length=None, max_steps=None):
    """Obs (the random number of the episode, the step t), reward 10^t; terminates after params steps (never: None)."""

    def reset(key, params):
        state = jax.random.randint(key, (), 1, 2**24), jnp.int32(0)
        return state, jnp.stack(state).astype(jnp.float32)

    def step(key, state, action, params):
        after = state[0], state[1] + 1
        return after, jnp.stack(after).astype(jnp.float32), 10.0 ** state[1].astype(jnp.float32), after[1] >= params

    box = spaces.Box(0.0, float(2**24), (2,))
    never = 2**30
    return Environment(
        reset, step, box, spaces.Discrete(2), params=np.int32(length or never), max_steps=max_steps,
        measure=lambda state, params: {"time": state[1]}, legal_actions=lambda state, params: jnp.arange(2) <= state[1],
    )  # fmt: skip


def play(env, num_steps, num_envs=2, seed=0, **options):
    """[Timestep]: after the reset and after each step."""
    venv = vectorize(env, num_envs, **options)
    reset, step = contracts.quick(venv.reset), contracts.quick(venv.step)
    keys = jax.random.split(jax.random.key(seed), num_steps + 1)
    shape = (num_envs,) if env.num_agents is None else (num_envs, env.num_agents)
    state, timestep = reset(keys[0], env.params)
    timesteps = [timestep]
    for key in keys[1:]:
        state, timestep = step(key, state, jnp.zeros(shape, jnp.int32), env.params)
        timesteps.append(timestep)
    return jax.tree.map(np.asarray, timesteps)


@pytest.mark.parametrize(
    ("length", "limit", "terminated", "truncated"),
    [
        (None, None, False, False),
        (2, None, True, False),
        (2, 5, True, False),
        (None, 2, False, True),
        (5, 2, False, True),
        (2, 2, True, True),
    ],
)
def test_endings(length, limit, terminated, truncated):
    """What an agent sees at the start, after a step within an episode, after its last step, and after the next one."""
    start, within, last, following = play(script(length, limit), 3)
    episode = start.obs.features[:, 0]
    ended = terminated or truncated

    assert start.first.all() and start.valid.sum() == 0 and not (start.terminated | start.truncated).any()
    np.testing.assert_array_equal(start.obs.features, start.final_obs.features)
    np.testing.assert_array_equal(start.reward, 0)

    for timestep, t, ends in ((within, 1, False), (last, 2, ended)):
        assert timestep.valid.all() and (timestep.first == ends).all()
        assert (timestep.terminated == (ends and terminated)).all()
        assert (timestep.truncated == (ends and truncated)).all()
        np.testing.assert_array_equal(timestep.reward, 10.0 ** (t - 1))
        np.testing.assert_array_equal(timestep.final_obs.features, np.stack([episode, [t, t]], -1))
        np.testing.assert_array_equal(timestep.final_obs.legal, [[True, True]] * 2)
        np.testing.assert_array_equal(timestep.info["episode_return"], [1, 11][t - 1])
        np.testing.assert_array_equal(timestep.info["episode_length"], t)
        np.testing.assert_array_equal(timestep.info["time"], t)

    if ended:
        assert (last.obs.features[:, 0] != episode).all() and (last.obs.features[:, 1] == 0).all()
        np.testing.assert_array_equal(last.obs.legal, [[True, False]] * 2)
        np.testing.assert_array_equal(following.info["episode_return"], 1)
        np.testing.assert_array_equal(following.final_obs.features[:, 0], last.obs.features[:, 0])
    else:
        np.testing.assert_array_equal(last.obs.features, last.final_obs.features)
        np.testing.assert_array_equal(following.info["episode_return"], 111)
    assert (following.info["episode_length"] == (1 if ended else 3)).all() and not following.first.any()


def team(max_steps=None):
    """Three agents of one world that die after 1, 2 and 3 steps; a dead agent's observation and reward are NaN."""

    def observe(time):
        alive = time < jnp.arange(1, 4)
        return jnp.where((time <= jnp.arange(1, 4))[:, None], time.astype(jnp.float32), jnp.nan), alive

    def reset(key, params):
        return jnp.int32(0), observe(jnp.int32(0))[0]

    def step(key, time, action, params):
        reward = jnp.where(observe(time)[1], jnp.array([1.0, 2.0, 3.0]), jnp.nan)
        obs, alive = observe(time + 1)
        return time + 1, obs, reward, ~alive & observe(time)[1]  # tells a death only once

    box = spaces.Box(0.0, 3.0, (1,))
    return Environment(reset, step, box, spaces.Discrete(1), params=(), max_steps=max_steps, num_agents=3)


YES, NO = True, False


@pytest.mark.parametrize(
    ("limit", "terminated", "truncated", "first", "valid"),
    [
        (
            None,
            [[YES, NO, NO], [YES, YES, NO], [YES, YES, YES], [YES, NO, NO]],
            [[NO] * 3, [NO] * 3, [NO] * 3, [NO] * 3],
            [[NO] * 3, [NO] * 3, [YES] * 3, [NO] * 3],
            [[YES, YES, YES], [NO, YES, YES], [NO, NO, YES], [YES, YES, YES]],
        ),
        (
            2,
            [[YES, NO, NO], [YES, YES, NO], [YES, NO, NO], [YES, YES, NO]],
            [[NO] * 3, [YES] * 3, [NO] * 3, [YES] * 3],
            [[NO] * 3, [YES] * 3, [NO] * 3, [YES] * 3],
            [[YES, YES, YES], [NO, YES, YES], [YES, YES, YES], [NO, YES, YES]],
        ),
    ],
)
def test_endings_with_agents_that_die_early(limit, terminated, truncated, first, valid):
    """An episode ends when all are dead or at the limit; a dead agent's steps are not valid and earn nothing."""
    timesteps = play(team(limit), 4)
    assert timesteps[0].first.all() and not timesteps[0].valid.any() and timesteps[0].first.shape == (2, 3)
    for t, timestep in enumerate(timesteps[1:]):
        for row in range(2):
            np.testing.assert_array_equal(timestep.terminated[row], terminated[t])
            np.testing.assert_array_equal(timestep.truncated[row], truncated[t])
            np.testing.assert_array_equal(timestep.first[row], first[t])
            np.testing.assert_array_equal(timestep.valid[row], valid[t])
        assert np.isfinite(timestep.reward[timestep.valid]).all()
        assert np.isfinite(timestep.final_obs.features[timestep.valid]).all()
        assert (timestep.obs.features[timestep.first] == 0).all()
    last = timesteps[3 if limit is None else 2].info
    np.testing.assert_array_equal(last["episode_return"][0], [1, 4, 9] if limit is None else [1, 4, 6])
    np.testing.assert_array_equal(timesteps[4].info["episode_length"][1], [1] * 3 if limit is None else [2] * 3)
    assert vectorize(team(), 5).num_rows == 15 and vectorize(team(), 5).num_envs == 5


def test_statistics_of_staggered_episodes():
    """Episodes of 1 to 5 steps, drawn per row at each reset: length and return of every one are those of its row."""
    lengths = []
    for timestep in play(script(), 60, num_envs=4, draw=lambda key, task: jax.random.randint(key, (), 1, 6))[1:]:
        ends = timestep.first
        np.testing.assert_array_equal(timestep.info["episode_length"], timestep.final_obs.features[:, 1])
        whole = timestep.info["episode_length"][ends]
        np.testing.assert_array_equal(timestep.info["episode_return"][ends], (10.0**whole - 1) // 9)
        lengths.extend(whole)
    assert len(lengths) >= 50 and set(lengths) == {1, 2, 3, 4, 5}


def test_an_episode_of_three_steps_has_return_and_length_three():
    timesteps = play(envs.make("chain", length=3), 39, num_envs=4)[1:]
    ended = [timestep.first.all() for timestep in timesteps]
    assert ended == [False, False, True] * 13
    for timestep in timesteps[2::3]:
        np.testing.assert_array_equal(timestep.info["episode_return"], 3)
        np.testing.assert_array_equal(timestep.info["episode_length"], 3)


def test_actions_are_brought_to_their_bounds():
    """The world gets what its space allows, whatever a policy asks for."""
    env = envs.make("quadratic")
    venv = vectorize(env, 3)
    state, timestep = venv.reset(jax.random.key(0), ())
    action = jnp.array([[5.0, -7.0], [1.0, -1.0], [0.5, 0.5]])
    reward = venv.step(jax.random.key(1), state, action, ())[1].reward
    expected = -np.sum((np.clip(action, -1, 1) - 0.5 * np.asarray(timestep.obs.features)) ** 2, -1)
    np.testing.assert_allclose(reward, expected, rtol=1e-6)


def test_no_key_is_used_twice():
    for options in ({}, {"renewed": 2}, {"draw": lambda key, task: jax.random.randint(key, (), 1, 6)}):
        venv = vectorize(script(), 3, **options)
        state, _ = venv.reset(jax.random.key(0), venv.params)
        contracts.checks_keys(venv.reset, jax.random.key(0), venv.params)
        contracts.checks_keys(venv.step, jax.random.key(0), state, jnp.zeros(3, jnp.int32), venv.params)
