"""MADDPG: a critic sees everything, a policy its own row; only its own action carries a policy's gradient."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import quick

import jaxrl
from jaxrl import agents, envs, loop, networks, spaces
from jaxrl.agents import exploration, maddpg
from jaxrl.errors import UsageError
from jaxrl.types import Network, Observation
from jaxrl.vectorize import vectorize

SMALL = networks.Settings((8,))


def summing():
    """A critic that weighs all features and all units: value = w . (obs, units)."""

    def read(seen):
        return jnp.concatenate([seen[0].features, seen[1]], -1)

    def step(params, carry, seen, first, key=None):
        return carry, read(seen) @ params

    return Network(lambda key, seen: jax.random.normal(key, (read(seen).shape[-1],)), lambda n: (), step, step)


def test_rows_of_a_team_read_their_own_parameters():
    """Of networks that stand apart, what agent i sees moves the out of agent i, with its own parameters."""
    network = maddpg.apart(networks.build(SMALL, lambda mlp: mlp(2)), 3)
    obs = jax.random.normal(jax.random.key(0), (6, 4))
    params, first = network.init(jax.random.key(1), obs), jnp.zeros(6, bool)
    out = network.step(params, (), obs, first)[1]
    assert out.shape == (6, 2)
    alone = networks.build(SMALL, lambda mlp: mlp(2))
    for row in range(6):
        own = jax.tree.map(lambda x, row=row: x[row % 3], params)
        np.testing.assert_allclose(out[row], alone.step(own, (), obs[row : row + 1], first[:1])[1][0], rtol=1e-5)


def test_a_critic_sees_all_and_takes_its_own_units_from_its_policy():
    """By hand: value i weighs all features, and all units as taken but those of agent i, which are its own ones."""
    critic = maddpg.together(summing(), 2)
    obs = Observation(jnp.arange(12.0).reshape(4, 3))  # two worlds of two agents
    own, taken = jnp.arange(8.0).reshape(4, 2), 10 + jnp.arange(8.0).reshape(4, 2)
    params = critic.init(jax.random.key(0), (obs, (own, taken)))
    values = critic.step(params, (), (obs, (own, taken)), jnp.zeros(4, bool))[1]
    assert params.shape == (2, 2 * 3 + 2 * 2)
    for world in range(2):
        for agent in range(2):
            row = 2 * world + agent
            units = [own[row] if i == agent else taken[2 * world + i] for i in range(2)]
            seen = jnp.concatenate([obs.features[2 * world], obs.features[2 * world + 1], *units])
            np.testing.assert_allclose(values[row], seen @ params[agent], rtol=1e-6)

    def total(own, agent):
        return critic.step(params, (), (obs, (own, taken)), jnp.zeros(4, bool))[1][agent::2].sum()

    for agent in range(2):
        moved = np.abs(np.asarray(jax.grad(total)(own, agent))).sum(-1) > 0
        np.testing.assert_array_equal(moved, [agent == 0, agent == 1] * 2)


def test_a_team_is_dealt_by_one_index():
    """Rows of one world stand together in a batch: all of one step, whatever its index."""
    env = envs.make("coordination", num_agents=3, max_steps=5)
    config = agents.default_config("maddpg")._replace(buffer_size=200, batch_size=16, learning_starts=10)
    team = agents.make("maddpg", env, SMALL, config)
    trainer = loop.make_trainer(team, vectorize(env, 4), 5)
    state, step = quick(trainer.init)(jax.random.key(0)), quick(trainer.step)
    for _ in range(3):
        state, _ = step(state)
    memory = maddpg.of_rows(jaxrl.agents.replay.replay(env, config), 3)
    items = memory.sample(state.agent.buffer, jax.random.key(1), 0.9).items
    features = np.asarray(items.obs.features).reshape(16, 3, 6)
    own, ways = features[..., :2], features[..., 2:].reshape(16, 3, 2, 2)  # position; the ways to the two others
    for agent, others in enumerate(((1, 2), (0, 2), (0, 1))):
        for place, other in enumerate(others):
            np.testing.assert_allclose(own[:, agent] + ways[:, agent, place], own[:, other], atol=1e-5)
    rewards = np.asarray(items.reward).reshape(16, 3)  # the team's, the same for all
    np.testing.assert_allclose(rewards, rewards[:, :1].repeat(3, 1))


def test_acting_needs_nothing_of_the_others():
    env = envs.make("coordination", num_agents=3)
    team = agents.make("maddpg", env, SMALL)
    trainer = loop.make_trainer(team, vectorize(env, 4), 5)
    state = quick(trainer.init)(jax.random.key(0))
    changed = state.timestep.obs._replace(features=state.timestep.obs.features.at[:, 1:].add(1.0))
    act = quick(lambda obs: team.act(
        state.agent, jax.random.key(0), state.carry, state.timestep._replace(obs=obs), explore=False
    )[0])  # fmt: skip
    before, after = act(state.timestep.obs), act(changed)
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert (before[:, 1:] != after[:, 1:]).any()


def test_a_discrete_policy_draws_from_its_logits_and_carries_the_gradient_of_softmax():
    """Units are one-hot; over 20,000 draws their mean is softmax(out); illegal actions are never drawn."""
    kind = exploration.discrete(spaces.Discrete(3))
    out, legal = jnp.array([[0.5, -0.3, 1.0]]), jnp.array([[True, True, False]])
    keys = jax.random.split(jax.random.key(0), 20_000)
    units = jax.vmap(lambda key: kind.units(out, None, key)[0])(keys)
    assert set(np.unique(units.round(6))) == {0.0, 1.0}
    np.testing.assert_allclose(units.mean(0), jax.nn.softmax(out[0]), atol=0.015)  # 4 deviations
    drawn = jax.vmap(lambda key: kind.smoothed(out, legal, key, None)[0])(keys)
    np.testing.assert_allclose(drawn.mean(0)[:2], jax.nn.softmax(out[0, :2]), atol=0.015)
    assert drawn[:, 2].sum() == 0 and int(kind.mode(out, legal)[0]) == 0
    key, weight = jax.random.key(3), jnp.array([1.0, 2.0, 3.0])
    slope = jax.grad(lambda out: kind.units(out, None, key)[0] @ weight)(out)
    noisy = out + jax.random.gumbel(key, out.shape)
    np.testing.assert_allclose(slope, jax.grad(lambda x: jax.nn.softmax(x)[0] @ weight)(noisy), rtol=1e-5)


def test_what_does_not_fit_is_said():
    with pytest.raises(UsageError, match="maddpg plays a team, but the environment has a single agent"):
        jaxrl.train("maddpg", "pendulum", num_steps=2000, progress=False)
    with pytest.raises(UsageError, match="maddpg is a team of its own"):
        jaxrl.train("maddpg", "coordination", team={"learning": "independent"}, num_steps=2000, progress=False)


def test_rates_count_environment_steps():
    options = {"num_steps": 600, "num_envs": 4, "rollout_length": 5, "progress": False, "network": {"hidden": [8]}}
    config = {"learning_starts": 12, "gradient_steps": 0.1, "batch_size": 8, "buffer_size": 200}
    state = jaxrl.train("maddpg", "coordination", config=config, **options).agent_state(0)
    assert int(state.gradient_steps) == 60 and int(state.env_steps) == 600
    assert contracts.plain(state.buffer.size)[0] == 200
