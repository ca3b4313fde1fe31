"""IMPALA: A2C where nothing is old, actors that lag behind, and what the correction is for."""

import functools

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contracts import case

from jaxrl import agents, distributions, envs, exact, loop, networks, trees
from jaxrl.agents import impala, ppo
from jaxrl.networks import Settings
from jaxrl.vectorize import vectorize


@pytest.mark.parametrize("name", ["impala", "impala, continuous, normalised", "impala, masked, gru"])
def test_without_delay_an_update_is_that_of_a2c(name):
    """From one state, on one rollout; the control, a rollout of another policy, must differ."""
    this = case(name)
    shared = {"learning_rate": 0.01, "trace_decay": 0.9, "discount": 0.9, **{
        option: getattr(this.config, option) for option in ("normalise_observations", "normalise_rewards")
    }}  # fmt: skip
    chunk = {"chunk_length": 6} if "gru" in name else {}
    fresh, a2c = (
        agents.default_config(kind)._replace(**shared, **own)
        for kind, own in (("impala", {"delay": 0}), ("a2c", chunk))
    )
    fresh, a2c = (
        kind(this.network, this.env.action_space, config) for kind, config in ((impala.impala, fresh), (ppo.ppo, a2c))
    )
    state = contracts.quick(loop.make_trainer(fresh, this.venv, 6).init)(jax.random.key(0))
    roll = contracts.quick(loop.collect(fresh, this.venv, 6))
    rollout = roll(jax.random.key(1), state.agent, *state[2:6])[3]
    other = a2c.init(jax.random.key(0), state.timestep)
    other = other._replace(params=state.agent.params)
    after, metrics = contracts.quick(fresh.learn)(state.agent, jax.random.key(0), rollout)
    expected, reported = contracts.quick(a2c.learn)(other, jax.random.key(0), rollout)
    contracts.assert_close(after.params, expected.params, 1e-5)
    for metric in ("value_loss", "entropy"):
        np.testing.assert_allclose(metrics[metric].value(), reported[metric].value(), rtol=1e-4)
    stale = rollout._replace(steps=rollout.steps._replace(extras={"log_prob": rollout.steps.extras["log_prob"] + 0.5}))
    assert contracts.differs(fresh.learn(state.agent, jax.random.key(0), stale)[0].params, after.params)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_actors_lag_behind(delay):
    """What explores is the policy of so many updates ago; what is greedy is that of now."""
    env = agents.adapt("impala", envs.make("random_mdp"))
    config = agents.default_config("impala")._replace(delay=delay, learning_rate=0.3)
    network = networks.actor_critic(Settings(()), env.action_space.n)
    agent = impala.impala(network, env.action_space, config)
    trainer = loop.make_trainer(agent, vectorize(env, 4), 3)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    roll, history = contracts.quick(loop.collect(agent, vectorize(env, 4), 3)), []
    for i in range(5):
        history.append(state.agent.params)
        rollout = roll(jax.random.key(i), state.agent, *state[2:6])[3]
        outputs = network.unroll(history[max(i - delay, 0)], (), rollout.steps.obs, rollout.steps.first)[1][0]
        log_prob = distributions.head(env.action_space).distribution(outputs).log_prob(rollout.steps.action)
        contracts.assert_close(log_prob, rollout.steps.extras["log_prob"], 1e-5)
        greedy = agent.act(state.agent, jax.random.key(0), (), state.timestep, explore=False)[0]
        now = network.step(state.agent.params, (), state.timestep.obs, state.timestep.first)[1][0]
        np.testing.assert_array_equal(greedy, jnp.argmax(now, -1))
        state = step(state)[0]


@functools.cache
def world():
    return envs.make("random_mdp", num_states=5, max_steps=20)


def values_of_stale_data(correct):
    """(values learnt of a policy from what another one does, values of the policy, of the other one), each [S].

    Nothing but the critic learns. Without the correction every action is taken for one of the policy.
    """
    env = agents.adapt("impala", world())
    network = networks.actor_critic(Settings(()), env.action_space.n)
    venv = vectorize(env, 64)
    params = network.init(jax.random.key(0), venv.reset(jax.random.key(0), ())[1].obs)["params"]
    actors = [params["actor"] | {"kernels": [1.5 * jax.random.normal(jax.random.key(i), (5, 3))]} for i in (1, 2)]
    policy, other = ({"params": params | {"actor": actor}} for actor in actors)
    critic = trees.ravel({"params": jax.tree.map(jnp.zeros_like, params) | {
        "critic": jax.tree.map(jnp.ones_like, params["critic"])
    }})[0]  # fmt: skip
    config = agents.default_config("impala")._replace(
        discount=0.9, learning_rate=2.0, total_updates=600.0, max_rho=float("inf"), max_gradient_norm=float("inf")
    )
    agent = impala.impala(network, env.action_space, config, optax.stateless(lambda updates, params: updates * critic))
    trainer = loop.make_trainer(agent, venv, 10)
    distribution = distributions.head(env.action_space).distribution

    def step(state, _):
        stale = state.agent._replace(past=jax.tree.map(lambda x: x[None], other))
        roll_key, key = jax.random.split(state.key)
        world, timestep, carry, rollout, _ = loop.collect(agent, venv, 10)(roll_key, stale, *state[2:6])
        if not correct:
            outputs = network.unroll(state.agent.params, (), rollout.steps.obs, rollout.steps.first)[1][0]
            believed = {"log_prob": distribution(outputs).log_prob(rollout.steps.action)}
            rollout = rollout._replace(steps=rollout.steps._replace(extras=believed))
        learnt = agent.learn(stale, key, rollout)[0]
        return state._replace(key=key, agent=learnt, env=world, timestep=timestep, carry=carry), None

    def run(key):
        state = trainer.init(key)
        state = state._replace(agent=state.agent._replace(params=policy))
        return jax.lax.scan(step, state, length=600)[0].agent.params

    learnt, first = contracts.quick(run)(jax.random.key(0)), jnp.zeros(5, bool)
    model, found = world().model(world().params), network.step(learnt, (), jnp.eye(5), first)[1][1]
    chosen = [jax.nn.softmax(network.step(p, (), jnp.eye(5), first)[1][0]) for p in (policy, other)]
    return np.asarray(found), *(exact.policy_value(model, np.asarray(p), discount=0.9) for p in chosen)


def test_the_correction_finds_the_values_of_the_policy():
    """From the data of another policy; the control, without the correction, finds the values of that one."""
    found, own, other = values_of_stale_data(correct=True)
    assert np.abs(own - other).max() > 0.5
    np.testing.assert_allclose(found, own, atol=0.15)
    found, own, other = values_of_stale_data(correct=False)
    np.testing.assert_allclose(found, other, atol=0.15)
