"""SAC: a step by hand for both kinds of actions, the temperature, and masks."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_ddpg import BOX, dealt, descent, fixed, linear, timestep_of

from jaxrl import agents, distributions, envs, loop, spaces
from jaxrl.agents import ddpg, sac
from jaxrl.buffers.uniform import example_rollout
from jaxrl.networks import Settings
from jaxrl.types import Network
from jaxrl.vectorize import vectorize


def table(num_outputs):
    """A network of one matrix that reads features only."""

    def step(params, carry, obs, first, key=None):
        return carry, obs.features @ params

    return Network(
        lambda key, obs: 0.3 * jax.random.normal(key, (obs.features.shape[-1], num_outputs)), lambda n: (), step, step
    )


def learn_once(agent, action, target=0.1):
    """(state before, state after, metrics) of one gradient step, from a target that differs from the parameters."""
    state = agent.init(jax.random.key(0), timestep_of())
    state = state._replace(target=state.target + target)
    rollout = example_rollout(timestep_of(6), jnp.zeros((6, *action.shape), action.dtype), ())
    return state, *contracts.quick(agent.learn)(state, jax.random.key(1), jax.tree.map(jnp.asarray, rollout))


def mean(x, valid):
    return np.sum(np.where(valid, x, 0)) / valid.sum()


CONFIG = sac.Config(
    batch_size=8, learning_rate=0.1, gradient_steps=1 / 6, temperature=0.3, target_entropy=-0.7, target_rate=0.25
)


def test_a_continuous_step_by_hand():
    """The critics towards the softened smaller value, the policy up its own, the temperature towards its entropy."""
    sample = dealt(jax.random.key(2), 8)
    agent = sac.sac(table(2), linear(1, 0.3), BOX, CONFIG, fixed(sample), descent())
    before, after, metrics = learn_once(agent, jnp.zeros(1))
    next_key, key, _ = jax.random.split(jax.random.fold_in(jax.random.key(1), 0), 4)[1:]
    items, head = sample.items, distributions.squashed_head(BOX)
    params, weight, valid = before.params, np.asarray(sample.weights), np.asarray(items.valid)

    def soft_value(policy, critic, features, key):
        action, log_prob = head.distribution(features @ policy).sample_and_log_prob(seed=key)
        read = jnp.concatenate([features, (action - 1) / 4], -1)
        return (read @ critic)[..., 0].min(0) - 0.3 * log_prob, log_prob

    next_value, _ = soft_value(params.policy, before.target, items.next_obs.features, next_key)
    target = np.asarray(items.reward + items.discount * next_value)
    x = np.concatenate([items.obs.features, (items.action - 1) / 4], -1)
    error = np.einsum("bi,nio->nb", x, params.critic) - target
    moved = np.einsum("nb,b,bi->ni", error, weight * valid, x)[..., None] / valid.sum()
    np.testing.assert_allclose(after.params.critic, params.critic - 0.1 * moved, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.buffer, np.abs(error).max(0), rtol=1e-4, atol=1e-5)

    def up(policy):
        value, log_prob = soft_value(policy, params.critic, items.obs.features, key)
        return jnp.sum(jnp.where(valid, value, 0)) / valid.sum(), log_prob

    (_, log_prob), slope = jax.value_and_grad(up, has_aux=True)(params.policy)
    np.testing.assert_allclose(after.params.policy, params.policy + 0.1 * slope, rtol=1e-4, atol=1e-5)
    entropy = mean(-np.asarray(log_prob), valid)
    surplus = entropy - (-0.7 + np.log(4))  # the target is in units of the bounds, which are 4 of ours
    np.testing.assert_allclose(after.params.log_temperature, np.log(0.3) - 0.1 * surplus, rtol=1e-4)
    follows = before.target + 0.25 * (after.params.critic - before.target)
    np.testing.assert_allclose(after.target, follows, rtol=1e-5)
    np.testing.assert_allclose(metrics["entropy"].value(), entropy, rtol=1e-4)
    np.testing.assert_allclose(metrics["temperature"].value(), 0.3, rtol=1e-5)


def masked_sample(num_rows=8):
    sample = dealt(jax.random.key(2), num_rows)
    legal = jax.random.bernoulli(jax.random.key(5), 0.6, (2, num_rows, 3)).at[:, :, 1].set(True)
    items = sample.items
    return sample._replace(items=items._replace(
        action=jnp.ones(num_rows, jnp.int32), obs=items.obs._replace(legal=legal[0]),
        next_obs=items.next_obs._replace(legal=legal[1]),
    ))  # fmt: skip


def test_a_discrete_step_by_hand():
    """As the continuous one, with sums over the legal actions in place of draws, and a share of their entropy."""
    sample = masked_sample()
    config = CONFIG._replace(target_entropy=0.5)
    agent = sac.sac(table(3), table(3), spaces.Discrete(3), config, fixed(sample), descent())
    before, after, metrics = learn_once(agent, jnp.int32(0))
    items, params, valid = sample.items, before.params, np.asarray(sample.items.valid)

    def soft_value(policy, critic, obs):
        logits = jnp.where(obs.legal, obs.features @ policy, -jnp.inf)
        chance = jax.nn.softmax(logits)
        logs = jnp.log(jnp.where(obs.legal, chance, 1.0))
        values = jnp.min(jnp.einsum("bi,nia->nba", obs.features, critic), 0)
        entropy = -jnp.sum(chance * logs, -1)
        return jnp.sum(chance * values, -1) + 0.3 * entropy, entropy

    target = np.asarray(items.reward + items.discount * soft_value(params.policy, before.target, items.next_obs)[0])
    error = np.einsum("bi,nia->nba", items.obs.features, params.critic)[..., 1] - target
    weight = np.asarray(sample.weights) * valid
    moved = np.einsum("nb,b,bi->ni", error, weight, items.obs.features) / valid.sum()
    expected = np.array(params.critic)
    expected[..., 1] -= 0.1 * moved
    np.testing.assert_allclose(after.params.critic, expected, rtol=1e-4, atol=1e-5)

    def up(policy):
        value, entropy = soft_value(policy, params.critic, items.obs)
        return jnp.sum(jnp.where(valid, value, 0)) / valid.sum(), entropy

    (_, entropy), slope = jax.value_and_grad(up, has_aux=True)(params.policy)
    np.testing.assert_allclose(after.params.policy, params.policy + 0.1 * slope, rtol=1e-4, atol=1e-5)
    largest = np.log(np.asarray(items.obs.legal).sum(-1))
    surplus = mean(np.asarray(entropy) - 0.5 * largest, valid)
    np.testing.assert_allclose(after.params.log_temperature, np.log(0.3) - 0.1 * surplus, rtol=1e-4)
    assert np.all((np.asarray(entropy) >= 0) & (np.asarray(entropy) <= largest + 1e-5))


def test_without_temperature_and_noise_it_is_twin_ddpg():
    """With a temperature of 0 and a policy that hardly varies, critics and means move as those of twin DDPG do."""
    sample = dealt(jax.random.key(2), 8)
    narrow = table(2)

    def step(params, carry, obs, first, key=None):
        return carry, jnp.concatenate([obs.features @ params, jnp.full((*first.shape, 1), -15.0)], -1)

    narrow = Network(lambda key, obs: 0.3 * jax.random.normal(key, (2, 1)), lambda n: (), step, step)
    config = CONFIG._replace(tuned=False, temperature=0.0)
    agent = sac.sac(narrow, linear(1, 0.3), BOX, config, fixed(sample), descent())
    before, after, _ = learn_once(agent, jnp.zeros(1), target=0.0)
    other = ddpg.Config(batch_size=8, num_critics=2, learning_rate=0.1, gradient_steps=1 / 6, target_rate=0.25)
    twin = ddpg.ddpg(linear(1, 0.3), linear(1, 0.3), BOX, other, fixed(sample), descent())
    state = twin.init(jax.random.key(0), timestep_of())
    start = ddpg.Params(before.params.policy, before.params.critic)
    rollout = example_rollout(timestep_of(6), jnp.zeros((6, 1)), ())
    twin_after, _ = contracts.quick(twin.learn)(state._replace(params=start, target=start), jax.random.key(9), rollout)
    np.testing.assert_allclose(after.params.critic, twin_after.params.critic, rtol=1e-4, atol=1e-5)
    assert float(after.params.log_temperature) == -np.inf  # which is not read, and stays


def free(num_outputs):
    """A network whose out is its parameters, whatever is seen."""

    def step(params, carry, obs, first, key=None):
        return carry, jnp.broadcast_to(params, (*first.shape, num_outputs))

    return Network(lambda key, obs: jnp.zeros(num_outputs), lambda n: (), step, step)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_the_temperature_brings_the_entropy_to_its_target(kind):
    """It falls while there is more entropy, rises while there is less, and ends where the policy has that much."""
    space, action = (BOX, jnp.zeros(1)) if kind == "continuous" else (spaces.Discrete(3), jnp.int32(0))
    wanted, (asked, outputs) = (-0.5 + np.log(4), (-0.5, 2)) if kind == "continuous" else (0.6 * np.log(3), (0.6, 3))
    sample = dealt(jax.random.key(2), 64)
    actions = sample.items.action if kind == "continuous" else jnp.arange(64) % 3
    reward = jnp.where(jnp.arange(64) % 3 == 0, 1.0, 0.0) if kind == "discrete" else 0.2 * sample.items.action[:, 0]
    items = sample.items._replace(discount=jnp.zeros(64), valid=jnp.ones(64, bool), reward=reward, action=actions)
    buffer = fixed(sample._replace(items=items))
    config = CONFIG._replace(batch_size=64, target_entropy=asked, learning_rate=0.02, gradient_steps=100.0)
    critic = linear(1, 0.3) if kind == "continuous" else free(3)
    agent = sac.sac(free(outputs), critic, space, config, buffer, optax.scale_by_adam())
    learn = contracts.quick(agent.learn)
    rollout = jax.tree.map(
        jnp.asarray, example_rollout(timestep_of(6), jnp.zeros((6, *action.shape), action.dtype), ())
    )
    start = agent.init(jax.random.key(0), timestep_of())
    for target, sign in ((asked - 5, -1), (asked + 5, 1)):
        hyper = start.config._replace(target_entropy=jnp.float32(target), gradient_steps=jnp.float32(1 / 6))
        after = learn(start._replace(config=hyper), jax.random.key(1), rollout)[0]
        assert np.sign(float(after.params.log_temperature - start.params.log_temperature)) == sign
    state = start
    for i in range(4):
        state, metrics = learn(state, jax.random.key(i), rollout)
    assert abs(float(metrics["entropy"].value()) - wanted) < 0.03
    assert 0.01 < float(metrics["temperature"].value()) < 1.0


def test_a_fixed_temperature_stays():
    config = CONFIG._replace(tuned=False)
    agent = sac.sac(table(2), linear(1, 0.3), BOX, config, fixed(dealt(jax.random.key(2), 8)), optax.scale_by_adam())
    before, after, metrics = learn_once(agent, jnp.zeros(1))
    assert float(before.params.log_temperature) == float(after.params.log_temperature)
    np.testing.assert_allclose(metrics["temperature"].value(), 0.3, rtol=1e-6)


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac"])
@pytest.mark.parametrize("options", [{"prioritized": True, "backup_steps": 2}, {"normalise_observations": True}])
def test_options_of_replay_are_read(name, options):
    """Each changes what is learnt."""
    env, learnt = envs.make("pendulum"), []
    for extra in ({}, options):
        config = agents.default_config(name)._replace(
            buffer_size=240, batch_size=16, learning_starts=24, learning_rate=0.01, **extra
        )
        agent = agents.make(name, env, Settings((8,)), config)
        train = contracts.quick(loop.train(loop.make_trainer(agent, vectorize(env, 4), 3), 5))
        learnt.append(train(jax.random.key(0))[0].agent)
    assert int(learnt[0].gradient_steps) == int(learnt[1].gradient_steps) > 0
    assert contracts.differs(learnt[0].params, learnt[1].params)
