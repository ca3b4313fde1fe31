"""Classic control against Gymnasium: from 1000 injected states both step alike."""

from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs


class World(NamedTuple):
    original: str
    fields: tuple[str, ...]  # of the state, in Gymnasium's order
    low: tuple[float, ...]  # injected states, which have not ended yet, are uniform between these
    high: tuple[float, ...]
    least_terminated: int  # so that both sides of the rule are met


WORLDS = {
    "cartpole": World(
        "CartPole-v1", ("x", "x_dot", "theta", "theta_dot"), (-2.4, -3, -0.2, -3), (2.4, 3, 0.2, 3), 50
    ),
    "acrobot": World(
        "Acrobot-v1", ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2"),
        (-np.pi, -np.pi, -12, -28), (np.pi, np.pi, 12, 28), 50,
    ),
    "mountain_car": World("MountainCar-v0", ("position", "velocity"), (-1.2, -0.07), (0.5, 0.07), 10),
    "mountain_car_continuous": World(
        "MountainCarContinuous-v0", ("position", "velocity"), (-1.2, -0.07), (0.45, 0.07), 10
    ),
    "pendulum": World("Pendulum-v1", ("theta", "theta_dot"), (-np.pi, -8), (np.pi, 8), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
def test_steps_equal_gymnasium(name):
    """Observation, reward and termination; 0 mismatches."""
    this, env = WORLDS[name], envs.make(name)
    generator = np.random.default_rng(0)
    states = generator.uniform(this.low, this.high, (1000, len(this.low))).astype(np.float32)
    space = env.action_space
    discrete = hasattr(space, "n")
    actions = (
        generator.integers(space.n, size=1000) if discrete else generator.uniform(*space.bounds(), (1000, *space.shape))
    )
    actions = actions.astype(space.dtype)

    template, _ = env.reset(jax.random.key(0), env.params)
    injected = jax.vmap(lambda row: template.replace(**dict(zip(this.fields, row, strict=True))))(jnp.asarray(states))
    step = jax.jit(jax.vmap(env.step, (None, 0, 0, None)))
    _, obs, reward, terminated = step(jax.random.key(0), injected, jnp.asarray(actions), env.params)

    original = gymnasium.make(this.original).unwrapped
    original.reset(seed=0)
    expected = [], [], []
    for state, action in zip(states.astype(np.float64), actions, strict=True):
        original.state = np.array(state)
        if hasattr(original, "steps_beyond_terminated"):
            original.steps_beyond_terminated = None
        after, gain, ends, _, _ = original.step(int(action) if discrete else action)
        for column, value in zip(expected, (after, gain, ends), strict=True):
            column.append(np.asarray(value))
    expected_obs, expected_reward, expected_ends = (np.stack(column) for column in expected)
    np.testing.assert_array_equal(terminated, expected_ends)
    if name == "mountain_car_continuous":  # where gymnax, unlike Gymnasium, keeps the speed at the left wall
        wall = (expected_obs[:, 0] == np.float32(-1.2)) & (np.asarray(obs)[:, 1] < 0)
        assert 0 < wall.sum() < 50 and (expected_obs[wall, 1] == 0).all()
        expected_obs = np.where(wall[:, None], obs, expected_obs)
    np.testing.assert_allclose(obs, expected_obs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(reward, expected_reward, rtol=1e-4, atol=1e-4)
    assert expected_ends.sum() >= this.least_terminated and not expected_ends.all()
