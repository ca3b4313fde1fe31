"""DDPG and TD3: a round by hand, the delay, smoothing inside the bounds, and what explores."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl import agents, envs, loop, spaces
from jaxrl.agents import ddpg, exploration
from jaxrl.buffers.uniform import example_rollout
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.types import Buffer, Experience, Network, Observation, Sample
from jaxrl.vectorize import vectorize

BOX = spaces.Box(-3.0, 5.0, (1,))
TD3 = agents.algorithm("td3").defaults


def linear(num_outputs, scale=1.0):
    """A network of one matrix that reads features, and actions where there are some."""

    def read(obs):
        return jnp.concatenate([obs[0].features, obs[1]], -1) if type(obs) is tuple else obs.features

    def init(key, obs):
        return scale * jax.random.normal(key, (read(obs).shape[-1], num_outputs))

    def step(params, carry, obs, first, key=None):
        out = read(obs) @ params
        return carry, out[..., 0] if type(obs) is tuple else out

    return Network(init, lambda n: (), step, step)


def dealt(key, num_rows):
    """Experience [B] in a world of two features."""
    keys = jax.random.split(key, 5)
    obs, next_obs = (Observation(jax.random.normal(k, (num_rows, 2))) for k in keys[:2])
    action = jax.random.uniform(keys[2], (num_rows, 1), minval=-3.0, maxval=5.0)
    discount = jnp.where(jnp.arange(num_rows) % 3 == 0, 0.0, 0.9)
    items = Experience(
        obs, action, jax.random.normal(keys[3], (num_rows,)), discount, jnp.arange(num_rows) != 1, next_obs, ()
    )
    return Sample(items, jnp.arange(num_rows), jax.random.uniform(keys[4], (num_rows,), minval=0.5))


def fixed(sample):
    """A buffer that deals this sample whatever it is given, and keeps the priorities that it hears of."""
    return Buffer(
        lambda example: jnp.zeros(sample.weights.shape), lambda state, rollout: state,
        lambda state, key, discount: sample, lambda state, indices, priorities: priorities, lambda state: True,
    )  # fmt: skip


def timestep_of(num_rows=1):
    return vectorize(envs.make("quadratic"), num_rows).reset(jax.random.key(0), ())[1]


def descent():
    return optax.stateless(lambda updates, params: updates)


def unit_steps():
    return optax.stateless(lambda updates, params: jax.tree.map(jnp.ones_like, updates))


def learn_once(agent, state):
    steps = example_rollout(timestep_of(6), jnp.zeros((6, 1)), ())
    return contracts.quick(agent.learn)(state, jax.random.key(1), jax.tree.map(jnp.asarray, steps))


def after_one_round(config, sample, direction):
    """(before, after, metrics) of a learner that owes one round."""
    config = config._replace(gradient_steps=config.policy_delay / 6)
    agent = ddpg.ddpg(linear(1, 0.3), linear(1, 0.3), BOX, config, fixed(sample), direction)
    state = agent.init(jax.random.key(0), timestep_of())
    state = state._replace(target=jax.tree.map(lambda x: x + 0.1, state.params))
    return state, *learn_once(agent, state)


def test_one_round_by_hand():
    """Two steps of the twins towards the smoothed target of the smaller one, then one of the policy on their result."""
    config = ddpg.Config(
        batch_size=4, num_critics=2, policy_delay=2, target_noise=0.3, target_noise_clip=0.2, learning_rate=0.1,
        target_rate=0.25,
    )  # fmt: skip
    sample = dealt(jax.random.key(2), 8)
    before, after, metrics = after_one_round(config, sample, descent())
    noise_key = jax.random.split(jax.random.fold_in(jax.random.key(1), 0))[1]
    noise = np.clip(0.3 * np.asarray(jax.random.normal(noise_key, (8, 1))), -0.2, 0.2)
    items = jax.tree.map(np.asarray, sample.items)
    units = (items.action - 1) / 4
    next_units = np.clip(np.tanh(items.next_obs.features @ np.asarray(before.target.policy)) + noise, -1, 1)
    read = np.concatenate([items.next_obs.features, next_units], -1)
    values = np.einsum("bi,nio->nb", read, np.asarray(before.target.critic))
    target = items.reward + items.discount * values.min(0)
    critics, errors = np.array(before.params.critic), []
    for part in (slice(0, 4), slice(4, 8)):
        x = np.concatenate([items.obs.features, units], -1)[part]
        error = np.einsum("bi,nio->nb", x, critics) - target[part]
        errors.append(np.abs(error).max(0))
        weight = (np.asarray(sample.weights) * items.valid)[part]
        critics = critics - 0.1 * np.einsum("nb,b,bi->ni", error, weight, x)[..., None] / items.valid[part].sum()
    np.testing.assert_allclose(after.params.critic, critics, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.buffer, np.concatenate(errors), rtol=1e-4, atol=1e-5)

    features = items.obs.features[4:]
    slope = 1 - np.tanh(features @ np.asarray(before.params.policy)) ** 2
    policy = before.params.policy + 0.1 * np.mean(slope * features, 0)[:, None] * critics[0, 2]
    np.testing.assert_allclose(after.params.policy, policy, rtol=1e-4, atol=1e-5)
    follows = jax.tree.map(lambda t, p: t + 0.25 * (p - t), before.target, after.params)
    contracts.assert_close(after.target, follows, 1e-6)
    assert int(after.gradient_steps) == 2 and set(metrics) == {"loss", "q", "policy_loss"}


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_the_policy_moves_once_in_a_round(delay):
    """A step of the policy for `policy_delay` steps of the critics, whose optimiser has counted them."""
    config = ddpg.Config(batch_size=4, policy_delay=delay, learning_rate=0.5)
    before, after, _ = after_one_round(config, dealt(jax.random.key(2), 4 * delay), unit_steps())
    moved = jax.tree.map(lambda a, b: a - b, before.params, after.params)
    np.testing.assert_allclose(moved.policy, 0.5, rtol=1e-5)
    np.testing.assert_allclose(moved.critic, 0.5 * delay, rtol=1e-5)


@pytest.mark.parametrize(("limit", "lowest"), [(50.0, -1.0), (0.1, 0.9)])
def test_smoothed_actions_stay_inside_the_bounds(limit, lowest):
    """However large the noise: where a target is the next action, at the upper bound, none leaves -1 to 1."""
    sample = dealt(jax.random.key(2), 64)
    items = sample.items._replace(
        reward=jnp.zeros(64), discount=jnp.ones(64), next_obs=Observation(jnp.ones((64, 2)))
    )  # fmt: skip
    config = ddpg.Config(
        batch_size=64, target_noise=20.0, target_noise_clip=limit, learning_rate=0.0, gradient_steps=1 / 6
    )
    agent = ddpg.ddpg(linear(1), linear(1), BOX, config, fixed(sample._replace(items=items)), descent())
    target = ddpg.Params(jnp.full((2, 1), 20.0), jnp.zeros((1, 3, 1)).at[0, 2].set(1.0))
    state = agent.init(jax.random.key(0), timestep_of())._replace(target=target)
    state = state._replace(params=jax.tree.map(jnp.zeros_like, target))
    size = np.asarray(learn_once(agent, state)[0].buffer)  # the priority: the distance of the target from 0
    assert size.max() == 1.0 and size.min() >= max(lowest, 0.0) - 1e-6
    assert (size < 0.89).any() == (limit > 1)


def test_the_noise_has_the_statistics_of_its_process():
    """Variance s^2 / (1 - (1 - r)^2) and correlation (1 - r)^k at a lag of k; a row that begins starts from 0."""
    rows, steps = 256, 400

    def walk(reversion):
        config = ddpg.Config(exploration_noise=0.3, noise_reversion=reversion)
        first = jnp.zeros(rows, bool)

        def step(carry, key):
            carry = exploration.wander(key, carry, first, config)
            return carry, carry.noise[:, 0]

        keys = jax.random.split(jax.random.key(0), steps + 60)
        carry, noise = jax.lax.scan(step, exploration.begin(rows, 1), keys)
        again = exploration.wander(keys[0], carry, ~first, config).noise
        return noise[60:], again

    for reversion in (0.15, 1.0):
        noise, again = (np.asarray(x) for x in contracts.quick(walk)(reversion))
        keep = 1 - reversion
        variance = 0.09 / (1 - keep**2)
        # of rows * steps numbers, one in (1 + keep) / (1 - keep) counts as independent
        sigma = np.sqrt(2 * (1 + keep**2) / (1 - keep**2) / noise.size)
        assert abs(noise.var() / variance - 1) < 4 * sigma
        for lag in (1, 5):
            found = np.mean(noise[lag:] * noise[:-lag]) / variance
            assert abs(found - keep**lag) < 4 * sigma
        assert abs(again.std() / 0.3 - 1) < 4 * np.sqrt(0.5 / rows)


def test_random_actions_are_held():
    """Uniform, for `warm_up_hold` steps on average, and drawn anew where an episode begins."""
    config, rows = ddpg.Config(warm_up_hold=5.0), 2000
    step = contracts.quick(lambda key, carry, first: exploration.warm_up(key, carry, first, config))
    never, carry = jnp.zeros(rows, bool), exploration.begin(rows, 2)
    carry = step(jax.random.key(0), carry, ~never)
    values = np.asarray(carry.random)
    assert np.abs(values).max() <= 1 and abs(values.mean()) < 4 / np.sqrt(12 * rows / 4 * 2)
    assert abs(values.var() * 3 - 1) < 0.1
    after = step(jax.random.key(1), carry, never)
    share = np.mean(np.asarray(after.random[:, 0] != carry.random[:, 0]))
    assert abs(share - 0.2) < 4 * np.sqrt(0.16 / rows)
    assert (step(jax.random.key(2), carry, ~never).random != carry.random).all()


def test_actions_are_random_at_first_and_in_their_bounds():
    """Uniform over the bounds until learning starts, then those of the policy with noise, and without it greedily."""
    config = ddpg.Config(learning_starts=100, exploration_noise=0.5)
    agent = ddpg.ddpg(linear(1, 0.1), linear(1), BOX, config, fixed(dealt(jax.random.key(2), 4)))
    timestep = timestep_of(4000)
    state, carry = agent.init(jax.random.key(0), timestep), agent.begin(4000)
    act = contracts.quick(agent.act)
    early = np.asarray(act(state, jax.random.key(1), carry, timestep)[0])
    assert early.min() >= -3 and early.max() <= 5
    assert abs(early.mean() - 1) < 4 * 8 / np.sqrt(12 * 4000) and abs(early.var() / (64 / 12) - 1) < 0.1
    greedy = 1 + 4 * np.tanh(np.asarray(timestep.obs.features @ state.params.policy))
    late = np.asarray(act(state._replace(env_steps=jnp.int32(100)), jax.random.key(1), carry, timestep)[0])
    assert abs((late - greedy).std() / (4 * 0.5) - 1) < 0.15 and late.min() == -3 and late.max() == 5
    quiet = contracts.quick(lambda *args: agent.act(*args, explore=False))(state, jax.random.key(1), carry, timestep)
    np.testing.assert_allclose(quiet[0], greedy, atol=1e-5)
    contracts.assert_equal(quiet[1], carry)


def stretched(env):
    """The same world with actions between -3 and 5."""
    space = spaces.Box(-3.0, 5.0, env.action_space.shape)
    return env._replace(action_space=space, step=lambda key, s, a, params: env.step(key, s, (a - 1) / 4, params))


SMALL = {"buffer_size": 240, "batch_size": 16, "learning_starts": 24}


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac"])
def test_bounds_do_not_change_what_is_learnt(name):
    """A world whose bounds are elsewhere is the same world: parameters agree after 50 gradient steps."""
    config = agents.default_config(name)._replace(**SMALL)
    learnt = []
    for env in (envs.make("quadratic"), stretched(envs.make("quadratic"))):
        agent = agents.make(name, env, Settings((8,)), config)
        train = contracts.quick(loop.train(loop.make_trainer(agent, vectorize(env, 4), 2), 10))
        learnt.append(train(jax.random.key(0))[0].agent)
    assert int(learnt[0].gradient_steps) > 40
    contracts.assert_close(learnt[0].params, learnt[1].params, 1e-3)


@pytest.mark.parametrize(("num_envs", "length"), [(1, 6), (2, 3), (6, 1)])
def test_gradient_steps_are_counted_per_environment_step(num_envs, length):
    """Whatever the rows and the delay; a half round is owed, not lost."""
    env = envs.make("quadratic")
    config = agents.default_config("td3")._replace(**SMALL, gradient_steps=0.5)
    agent = agents.make("td3", env, Settings((4,)), config)
    trainer = loop.make_trainer(agent, vectorize(env, num_envs), length)
    state, step, counts = trainer.init(jax.random.key(0)), contracts.quick(trainer.step), []
    for _ in range(7):
        state, _ = step(state)
        counts.append(int(state.agent.gradient_steps))
    assert counts == [0, 0, 0, 2, 6, 8, 12]


def test_unfit_worlds_are_refused():
    unbounded = envs.make("quadratic")._replace(action_space=spaces.Box(-np.inf, np.inf, (2,)))
    for name in ("ddpg", "td3", "sac"):
        with pytest.raises(UsageError, match="finite bounds"):
            agents.make(name, unbounded)
        with pytest.raises(UsageError, match=f"{name} needs a Box action space"):
            agents.make(name, envs.make("chain"))
        with pytest.raises(UsageError, match="memory"):
            agents.make(name, envs.make("quadratic"), Settings((4,), cell="gru"))
    with pytest.raises(UsageError, match="sac_discrete needs a Discrete action space"):
        agents.make("sac_discrete", envs.make("quadratic"))
