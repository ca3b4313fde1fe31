"""What bounds an update by its KL divergence, and schedules over updates: shared by all agents with epochs."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl import agents, envs, loop, networks, trees
from jaxrl.agents import on_policy, ppo, schedules
from jaxrl.networks import Settings
from jaxrl.vectorize import vectorize


def descended(kls, **options):
    """(state, metrics) after 2 epochs of 3 minibatches, each of which finds the next of `kls`; each step adds 1."""
    config = ppo.Config(2, 3, learning_rate=1.0, max_gradient_norm=float("inf"), **options)
    zero = jnp.zeros((), jnp.int32)
    state = ppo.State(jnp.zeros(()), optax.EmptyState(), trees.traced(config), zero, ())

    def loss(params, hyper, carry, items):
        kl = jnp.asarray(kls)[jnp.int32(params)]
        return -params, {"kl": kl, "entropy_coefficient": hyper.entropy_coefficient}

    batch = (), jnp.zeros((6, 1))
    return on_policy.descend(jax.random.key(0), loss, batch, state, config, optax.identity())


@pytest.mark.parametrize(("beyond", "steps"), [(None, 6), (0, 0), (2, 2), (5, 5)])
def test_an_update_stops_where_it_goes_too_far(beyond, steps):
    """From that minibatch on nothing moves, also where the next ones would find less; without the option all does."""
    kls = [0.5 if i == beyond else 0.009 for i in range(6)]
    state, _ = descended(kls, kl_stop=True, kl_target=0.01)
    assert state.params == state.gradient_steps == steps
    state, _ = descended(kls, kl_target=0.01)
    assert state.params == state.gradient_steps == 6


@pytest.mark.parametrize(("last", "rate"), [(0.021, 1 / 1.5), (0.019, 1.0), (0.006, 1.0), (0.004, 1.5)])
def test_the_rate_follows_the_divergence(last, rate):
    """Of the last minibatch; within limits, towards which a rate outside of them may move."""
    hyper = trees.traced(ppo.Config(kl_target=0.01, learning_rate=3e-3))
    np.testing.assert_allclose(schedules.follow_divergence(hyper, last).learning_rate, 3e-3 * rate, rtol=1e-6)
    for given, lowest, highest in ((9e-3, 6e-3, 1e-2), (0.5, 1 / 3, 0.5), (1.2e-6, 1e-6, 1.8e-6), (0.0, 0.0, 0.0)):
        moved = schedules.follow_divergence(hyper._replace(learning_rate=jnp.float32(given)), last).learning_rate
        np.testing.assert_allclose(moved, given if rate == 1 else lowest if rate < 1 else highest, rtol=1e-6)
    state, _ = descended([9.0] * 5 + [last], kl_adaptive=True, kl_target=0.01)
    np.testing.assert_allclose(state.config.learning_rate, min(rate, 1.0), rtol=1e-6)
    assert state.params == 6


def test_the_weight_of_the_entropy_falls_linearly():
    """At every step of 12 updates: over half of 10 updates from 0.5 to 0.1, where it stays; by default it stays."""
    config = trees.traced(ppo.Config(entropy_coefficient=0.5, entropy_end=0.1, entropy_span=0.5, total_updates=10.0))
    steps = jnp.arange(36)
    found = jax.vmap(lambda done: schedules.entropy_coefficient(config, done, 3))(steps)
    np.testing.assert_allclose(found, np.maximum(0.5 - 0.4 * np.arange(36) / 15, 0.1), rtol=1e-6)
    for never in ("entropy_span", "total_updates"):
        still = config._replace(**{never: jnp.float32(jnp.inf)})
        assert (jax.vmap(lambda done, c=still: schedules.entropy_coefficient(c, done, 3))(steps) == 0.5).all()
    _, metrics = descended([0.0] * 6, entropy_coefficient=0.5, entropy_end=0.1, entropy_span=0.5, total_updates=2.0)
    np.testing.assert_allclose(
        metrics["entropy_coefficient"].value(), np.mean(np.maximum(0.5 - 0.4 * np.arange(6) / 6, 0.1)), rtol=1e-6
    )


def trained(**options):
    """(parameters, learning rate in the state, largest divergence of an update) after 10 updates that go far."""
    env = agents.adapt("ppo", envs.make("random_mdp", max_steps=20))
    config = ppo.Config(4, 4, learning_rate=9e-3, **options)
    agent = ppo.ppo(networks.actor_critic(Settings((16,)), env.action_space.n), env.action_space, config)
    run = loop.train(loop.make_trainer(agent, vectorize(env, 16), 16), 10)
    state, metrics = contracts.quick(run)(jax.random.key(0))
    return state.agent.params, float(state.agent.config.learning_rate), float(metrics["kl"].value().max())


def test_updates_of_ppo_are_kept_near():
    """With either option the policy moves less; a target that is never reached changes nothing but roundings."""
    free = trained()
    assert trained(kl_stop=True, kl_target=1e-3)[2] < 0.5 * free[2] and free[1] == np.float32(9e-3)
    slower = trained(kl_adaptive=True, kl_target=1e-4)
    assert slower[1] < 1e-3 and slower[2] < free[2]
    contracts.assert_close(trained(kl_stop=True, kl_target=float("inf"))[0], free[0], 1e-5)
