"""Transforms of environments: what they change, and that they change nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs, spaces, transforms
from jaxrl.errors import UsageError
from jaxrl.types import Environment, Observation


def echo(space, obs):
    """A world of one observation, whose state is the last action."""

    def reset(key, params):
        return jnp.int32(0), obs

    def step(key, state, action, params):
        return action, obs, action.astype(jnp.float32), jnp.bool_(False)

    return Environment(
        reset, step, space, spaces.Discrete(3), measure=lambda state, params: {"last": state},
        legal_actions=lambda state, params: jnp.arange(3) != state, render=lambda state, params: state,
    )  # fmt: skip


def reset_and_step(env):
    state, obs = env.reset(jax.random.key(0), env.params)
    return obs, env.step(jax.random.key(1), state, jnp.int32(1), env.params)[1]


def test_one_hot():
    """An index is one vector, a vector of choices several in a row; the space says so."""
    env = transforms.one_hot(echo(spaces.Discrete(4), jnp.int32(2)))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 0, 1, 0])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))
    env = transforms.one_hot(echo(spaces.MultiDiscrete((2, 3)), jnp.array([1, 0])))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 1, 1, 0, 0])
        assert bool(env.observation_space.contains(obs))
    with pytest.raises(UsageError, match="discrete"):
        transforms.one_hot(envs.make("ring"))


def test_flatten():
    """Boxes of any nesting become one vector, with the bounds in the same order."""
    space = {"a": spaces.Box(0.0, 1.0, (2, 2)), "b": spaces.Box(0, 9, (1,), np.uint8)}
    features = {"a": jnp.arange(4.0).reshape(2, 2) / 4, "b": jnp.array([7], jnp.uint8)}
    env = transforms.flatten(echo(space, features))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 0.25, 0.5, 0.75, 7])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))
    assert env.observation_space.high == (1.0, 1.0, 1.0, 1.0, 9.0)
    with pytest.raises(UsageError, match="one_hot"):
        transforms.flatten(envs.make("taxi"))


def test_observations_keep_their_other_fields():
    obs = Observation(jnp.int32(1), goal=jnp.ones(2))
    for seen in reset_and_step(transforms.one_hot(echo(spaces.Discrete(2), obs))):
        np.testing.assert_array_equal(seen.features, [0, 1])
        np.testing.assert_array_equal(seen.goal, [1, 1])


def test_the_rest_of_a_world_stays():
    """Limit, mask, measures and picture are those of the world itself."""
    inner = echo(spaces.Discrete(4), jnp.int32(2))._replace(max_steps=9)
    env = transforms.one_hot(inner)
    state = env.step(jax.random.key(1), env.reset(jax.random.key(0), ())[0], jnp.int32(2), ())[0]
    assert env.max_steps == 9 and env.action_space == inner.action_space
    np.testing.assert_array_equal(env.legal_actions(state, ()), [True, True, False])
    assert int(env.measure(state, ())["last"]) == 2 and int(env.render(state, ())) == 2
