"""State-dependent exploration (gSDE): noise with the variance that its density says, held as long as it should be."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxrl import distributions, networks
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Observation

SPACE = Box((-2.0, -1.0), (2.0, 3.0), (2,))
ROWS, PERIOD = 4000, 3


def policy(cell=None):
    """(network, the one that it is made of, which shows means, log weights and features, params of both, obs)."""
    settings = Settings((6,), cell=cell, cell_size=6, log_deviation=0.3)
    network = networks.actor_critic(settings._replace(noise_period=PERIOD), 2, 2)
    inside = networks.actor_critic(settings, 2, 6 * 2, num_auxiliary=1)
    obs = Observation(jnp.tile(jax.random.normal(jax.random.key(0), (4, 3)), (ROWS // 4, 1)))
    params = contracts.quick(inside.init)(jax.random.key(1), obs)
    return network, inside, jax.tree.map(lambda x: x + 0.1, params), obs


def test_it_is_a_gaussian_with_the_variance_of_its_noise():
    """The density is that of N(mean, sum_i (z_i s_ij)^2 / L), and so are mean and deviation of 4000 draws."""
    network, inside, params, obs = policy()
    first, head = jnp.ones(ROWS, bool), distributions.head(SPACE)
    outputs, _, features, _ = contracts.quick(inside.step)(params, (), obs, first)[1]
    seen, value = contracts.quick(network.step)(params, network.begin(ROWS), obs, first, jax.random.key(2))[1]
    assert seen.shape == (ROWS, 6) and value.shape == (ROWS,)
    distribution = head.distribution(seen, None)
    action = np.asarray(distribution.sample(seed=jax.random.key(3)))

    units = np.array([2.0, 2.0]), np.array([0.0, 1.0])  # half the range and the middle of the bounds
    weight = np.exp(np.asarray(outputs[0, 2:])).reshape(6, 2)
    variance = (np.asarray(features)[:, :, None] * weight) ** 2
    deviation = units[0] * np.sqrt(variance.sum(1) / 6 + 1e-6)
    mean = units[1] + units[0] * np.asarray(outputs[:, :2])
    expected = scipy.stats.norm.logpdf(action, mean, deviation).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(action), expected, rtol=1e-3, atol=1e-3)

    standard = (action - mean) / deviation
    assert np.abs(standard.mean(0)).max() < 4 / np.sqrt(ROWS)
    assert np.abs(standard.std(0) - 1).max() < 4 / np.sqrt(2 * ROWS)
    assert abs(np.corrcoef(standard.T)[0, 1]) < 4 / np.sqrt(ROWS)
    assert abs(np.corrcoef(standard[:-1, 0], standard[1:, 0])[0, 1]) < 4 / np.sqrt(ROWS)  # of two rows


@pytest.mark.parametrize("cell", [None, "gru"])
def test_noise_is_held_for_its_period_and_ends_with_the_episode(cell):
    """In one and the same state the noise is one and the same, up to the period's end or an episode's start.

    Without a key there is none, and a row's noise goes on where it stopped.
    """
    network, _, params, obs = policy(cell)
    obs, step = jax.tree.map(lambda x: x[:4], obs), contracts.quick(network.step)
    still, carry, noises = jnp.zeros(4, bool), network.begin(4), []
    inner = carry[0]
    for t in range(7):
        first = still.at[1].set(t == 2) if t else jnp.ones(4, bool)
        if t == 4:
            contracts.assert_equal(step(params, carry, obs, still)[0][1:], carry[1:])
            assert step(params, carry, obs, still)[1][0].shape == (4, 4)
        (_, *held), (outputs, _) = step(params, (inner, *carry[1:]), obs, first, jax.random.key(t))
        carry = (inner, *held)
        noises.append(np.asarray(outputs[:, 4:]))
    changed = [[bool(np.any(a[row] != b[row])) for a, b in zip(noises, noises[1:], strict=False)] for row in range(4)]
    assert changed[0] == changed[2] == changed[3] == [False, False, True, False, False, True]
    assert changed[1] == [False, True, False, False, True, False]


def test_a_gradient_step_sees_no_noise_and_trains_the_weights():
    """Unrolled, the outputs are mean and log deviation; the deviation's gradient reaches s, and not the features."""
    network, _, params, obs = policy()
    obs = jax.tree.map(lambda x: x[None, :4], obs)

    def deviation(params):
        outputs, _ = network.unroll(params, network.begin(4), obs, jnp.ones((1, 4), bool))[1]
        assert outputs.shape == (1, 4, 4)
        return jnp.sum(outputs[..., 2:])

    gradient = contracts.quick(jax.grad(deviation))(params)["params"]
    assert np.abs(gradient["free"]).min() > 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((gradient["actor"], gradient["critic"])))


def test_a_squashed_policy_can_hold_it_too():
    """Its sample is the squashed mean and noise, and the density that of any squashed Gaussian there."""
    head = distributions.squashed_head(SPACE)
    mean, log_std, noise = jnp.full((5, 2), 0.2), jnp.full((5, 2), -0.5), jnp.linspace(-2, 2, 10).reshape(5, 2)
    plain = head.distribution(jnp.concatenate([mean, log_std], -1))
    held = head.distribution(jnp.concatenate([mean, log_std, noise], -1))
    action, log_prob = held.sample_and_log_prob(seed=jax.random.key(0))
    low, high = SPACE.bounds()
    wanted = low + (high - low) * (1 + np.tanh(np.asarray(mean + jnp.exp(log_std) * noise))) / 2
    np.testing.assert_allclose(action, wanted, rtol=1e-5)
    np.testing.assert_allclose(log_prob, plain.log_prob(action), rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "space", "message"),
    [
        (Settings(noise_period=4), Discrete(3), "noise_period is 4, but only a Gaussian policy"),
        (Settings(log_deviation=1.0), Discrete(3), "log_deviation is 1.0, but only a Gaussian policy"),
        (Settings((), noise_period=4), SPACE, "hidden is empty"),
    ],
)
def test_networks_that_cannot_are_refused(settings, space, message):
    head = distributions.head(space)
    with pytest.raises(UsageError, match=message):
        networks.actor_critic(settings, head.num_outputs, head.num_free)
