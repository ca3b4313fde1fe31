"""Online actor-critic: one step is traces of no decay, traces step by step, average rewards, and what it learns."""

import functools

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import case

from jaxrl import agents, envs, exact, loop, networks
from jaxrl.agents import actor_critic
from jaxrl.networks import Settings
from jaxrl.vectorize import vectorize


def made(env, config, settings=Settings(())):
    """(network, agent) for an environment as agents read it."""
    network = networks.actor_critic(settings, env.action_space.n)
    return network, actor_critic.actor_critic(network, env.action_space, config)


@pytest.mark.parametrize("name", ["actor_critic", "actor_critic, masked", "actor_critic, gru"])
def test_traces_without_decay_are_one_step(name):
    """Also with masks, memory, and what dead rows hold."""
    this = case(name)
    config = this.config._replace(traces=True, trace_decay=0.0)
    traced = actor_critic.actor_critic(this.network, this.env.action_space, config)
    state, timestep = this.history[0], this.history[0].timestep
    other = traced.init(jax.random.key(0), timestep)._replace(params=state.agent.params)
    learn = contracts.quick(traced.learn)
    for i in range(1, 4):
        rollout = this.roll(jax.random.key(i), state)[3]
        rollout = rollout._replace(steps=rollout.steps._replace(valid=rollout.steps.valid.at[-1, 0].set(False)))
        after, metrics = this.learn(state.agent, jax.random.key(0), rollout)
        other, found = learn(other, jax.random.key(0), rollout)
        contracts.assert_close((after.params, metrics), (other.params, found), 1e-5)
        assert contracts.differs(after.params, state.agent.params)
        state = state._replace(agent=after)


def test_traces_are_followed_step_by_step():
    """Two updates of five steps of two rows, against the algorithm written out for a row at a time."""
    env = agents.adapt("actor_critic", envs.make("random_mdp", max_steps=4))
    config = actor_critic.Config(
        traces=True, discount=0.9, trace_decay=0.7, learning_rate=0.1, value_coefficient=2.0, average_step=0.5
    )
    network, agent = made(env, config)
    trainer = loop.make_trainer(agent, vectorize(env, 2), 5)
    state = contracts.quick(trainer.init)(jax.random.key(0))
    roll = contracts.quick(loop.collect(agent, vectorize(env, 2), 5))

    def score(params, features, action):
        logits, value = network.step(params, (), features[None], jnp.zeros(1, bool))[1]
        return jax.nn.log_softmax(logits)[0, action] + 2.0 * value[0]

    def value(params, features):
        return network.step(params, (), features[None], jnp.zeros(1, bool))[1][1][0]

    params, traces, average = state.agent.params, [None, None], 0.0
    agent_state, world = state.agent, (state.env, state.timestep, state.carry)
    learn, gradient = contracts.quick(agent.learn), contracts.quick(jax.grad(score))
    for update in range(2):
        *world, rollout, _ = roll(jax.random.key(update), agent_state, *world, state.task)
        agent_state, _ = learn(agent_state, jax.random.key(0), rollout)
        for t in range(5):
            change, errors = jax.tree.map(jnp.zeros_like, params), []
            for row in range(2):
                s = jax.tree.map(lambda x, t=t, row=row: x[t, row], rollout.steps)
                following = 0.0 if s.terminated else 0.9 * value(params, s.next_obs.features)
                errors.append(s.reward - average + following - value(params, s.obs.features))
                now = gradient(params, s.obs.features, s.action)
                decay = 0.0 if s.first else 0.9 * 0.7
                old = now if s.first else traces[row]
                traces[row] = jax.tree.map(lambda z, g, decay=decay: decay * z + g, old, now)
                change = jax.tree.map(lambda c, z, e=errors[-1]: c + e * z / 2, change, traces[row])
            params = jax.tree.map(lambda p, c: p + 0.1 * c, params, change)
            average += 0.5 * 0.1 * sum(errors) / 2
    contracts.assert_close(agent_state.params, params, 1e-5)
    np.testing.assert_allclose(agent_state.average, average, atol=1e-5)


def test_the_average_reward_of_a_ring():
    """One reward in five steps: rho is 0.2, and leaving state 0 is worth 1 - rho more than what follows."""
    env = envs.make("ring", max_steps=None)
    config = agents.default_config("differential_actor_critic")._replace(learning_rate=0.1, total_updates=300.0)
    network, agent = made(env, config)
    run = loop.train(loop.make_trainer(agent, vectorize(env, 16), 8), 300)
    state = contracts.quick(lambda key: run(key)[0].agent)(jax.random.key(0))
    np.testing.assert_allclose(state.average, 0.2, atol=0.01)
    values = np.asarray(network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][1])
    np.testing.assert_allclose(values - np.roll(values, -1), [0.8, -0.2, -0.2, -0.2, -0.2], atol=0.02)


def policies(name, env, settings, config, num_envs, length, num_updates, num_seeds):
    """[K, S, A]: the probabilities that each of K seeds has learnt for the states of a world that is a table."""
    adapted = agents.adapt(name, env)
    network, agent = made(adapted, config, settings)
    run = loop.train(loop.make_trainer(agent, vectorize(adapted, num_envs), length), num_updates)
    seen = jnp.eye(env.observation_space.n)

    def learnt(key):
        params = run(key)[0].agent.params
        return jax.nn.softmax(network.step(params, (), seen, jnp.zeros(len(seen), bool))[1][0])

    return np.asarray(contracts.quick(jax.vmap(learnt))(jax.random.split(jax.random.key(0), num_seeds)))


def corridor_value(**options):
    """The mean value that 8 seeds reach in the short corridor, whose states look alike."""
    env = envs.make("short_corridor")
    config = agents.default_config("actor_critic_lambda")._replace(discount=1.0, trace_decay=1.0, **options)
    learnt = policies("actor_critic_lambda", env, Settings(()), config, 32, 4, 1000, 8)
    model = env.model(env.params)
    return np.mean([exact.policy_value(model, np.repeat(policy, 4, 0))[0] for policy in learnt])


def test_traces_of_one_find_the_best_random_policy():
    """-11.66 is the best of all policies; going right as often as left is worth -12, and the control stays there."""
    assert corridor_value(learning_rate=0.04, total_updates=1000.0) > -11.75
    assert corridor_value(learning_rate=0.0) < -11.95


@functools.cache
def queue():
    return envs.make("access_control", num_servers=3, payments=(1.0, 8.0), free_probability=0.2)


def queue_rewards(**options):
    """The exact average reward per step of 8 seeds' policies in a small queue."""
    env = queue()
    config = agents.default_config("differential_actor_critic")._replace(**options)
    learnt = policies("differential_actor_critic", env, Settings(()), config, 16, 4, 1500, 8)
    return np.mean([exact.average_reward(env.model(env.params), policy) for policy in learnt])


def test_a_queue_is_served_almost_as_well_as_can_be():
    best = exact.relative_value_iteration(queue().model(queue().params))[0]
    assert queue_rewards(learning_rate=0.05) > 0.98 * best
    assert queue_rewards(learning_rate=0.0) < 0.9 * best
