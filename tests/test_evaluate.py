"""Evaluation: whole episodes, each counted once whatever its length, and nothing but the key decides the starts."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_loop import stub
from test_vectorize import team

from jaxrl import agents, envs, loop
from jaxrl.errors import UsageError
from jaxrl.evaluate import evaluate
from jaxrl.vectorize import vectorize


def test_short_episodes_count_no_more_than_long_ones():
    """Half of the episodes last 1 step and return 0, half last 10 and return 10: the mean is 5.

    The control, the first 1000 ends among 100 rows, is far below.
    """
    env = envs.make("two_lengths", max_steps=20)
    agent = agents.make("random", env)
    episodes = contracts.quick(evaluate(agent, env, 1000))(jax.random.key(0), ())
    returns = np.asarray(episodes.returns)
    assert bool(episodes.finished.all()) and set(returns) == {0.0, 10.0}
    np.testing.assert_array_equal(episodes.lengths, np.where(returns == 0, 1, 10))
    assert abs(returns.mean() - 5) < 3 * 5 / np.sqrt(1000)

    venv = vectorize(env, 100)
    roll = loop.collect(agent, venv, 60)
    state, timestep = venv.reset(jax.random.key(1), ())
    *_, rollout, info = contracts.quick(roll)(jax.random.key(2), (), state, timestep, (), ())
    first_ends = np.asarray(info["episode_return"])[np.asarray(rollout.steps.ended)][:1000]
    assert len(first_ends) == 1000 and first_ends.mean() < 5 - 3 * 5 / np.sqrt(1000)


def test_starts_depend_on_the_key_alone():
    """Two agents meet the same starts under one key, and others under another."""
    env = envs.make("random_mdp", max_steps=1)
    starts = []
    for action, key in ((0, 0), (1, 0), (0, 1)):
        first_state = env._replace(measure=lambda state, params: {"state": state}, step=stay(env))
        play = contracts.quick(evaluate(stub(jnp.full(64, action)), first_state, 64, explore=True))
        starts.append(np.asarray(play(jax.random.key(key), ()).measures["state"]))
    np.testing.assert_array_equal(starts[0], starts[1])
    assert (starts[0] != starts[2]).any() and len(set(starts[0])) > 5


def stay(env):
    def step(key, state, action, params):
        return state, *env.step(key, state, action, params)[1:]

    return step


def test_a_cap_on_steps_leaves_episodes_unfinished():
    """The environment's own limit ends an episode, an additional cap does so too; without both there is an error."""
    for max_steps, cap, length in ((4, None, 4), (None, 3, 3), (4, 3, 3), (3, 9, 3)):
        env = envs.make("ring", max_steps=max_steps)
        episodes = evaluate(agents.make("random", env), env, 5, cap)(jax.random.key(0), ())
        np.testing.assert_array_equal(episodes.lengths, length)
    with pytest.raises(UsageError, match="max_steps"):
        evaluate(agents.make("random", env), envs.make("ring", max_steps=None), 5)


def test_masks_hold_in_evaluation():
    """Only an illegal arm pays 100: neither greedy nor exploring agents ever get it."""
    env = envs.make("masked_walk", length=6)
    for name in ("random", "dqn", "ppo"):
        agent = agents.make(name, env)
        _, timestep = vectorize(env, 50).reset(jax.random.key(0), ())
        state = contracts.quick(agent.init)(jax.random.key(1), timestep)
        for explore in (False, True):
            play = contracts.quick(evaluate(agent, env, 64, max_steps=10, explore=explore))
            episodes = play(jax.random.key(2), state)
            assert float(episodes.returns.max()) <= 6 and bool(episodes.finished.all())
            np.testing.assert_array_equal(episodes.measures["step"], 6)


def test_every_agent_of_a_world_has_its_return():
    """Where agents die early, the episode is over when the last one is dead."""
    agent = stub(jnp.zeros((5, 3), jnp.int32))._replace(begin=lambda n: jnp.zeros((5, 3), jnp.int32))
    episodes = evaluate(agent, team(), 5, max_steps=7)(jax.random.key(0), ())
    np.testing.assert_array_equal(episodes.returns, [[1, 4, 9]] * 5)
    assert bool(episodes.finished.all())


def test_no_key_is_used_twice():
    env = envs.make("random_mdp")
    contracts.checks_keys(evaluate(agents.make("random", env), env, 3), jax.random.key(0), ())
