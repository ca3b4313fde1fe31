"""Teams: sharing is the single agent over more rows, independence is separate runs, groups touch nobody else."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import quick

import jaxrl
from jaxrl import agents, envs, evaluate, keys, loop, networks
from jaxrl.agents import ppo, teams
from jaxrl.errors import UsageError
from jaxrl.network_transforms import with_central_critic
from jaxrl.types import Observation, Rollout
from jaxrl.vectorize import vectorize

SMALL = networks.Settings((8,))
CONFIG = ppo.Config(num_epochs=2, num_minibatches=2)


def alone(env):
    """One PPO agent for an actor of a world of several."""
    return agents.make("ppo", env._replace(num_agents=None), SMALL, CONFIG)


def played(agent, env, num_envs=4, length=6, updates=2):
    """(trainer, its state after some updates, the rollout that comes next)."""
    trainer, venv = loop.make_trainer(agent, vectorize(env, num_envs), length), vectorize(env, num_envs)
    state, step = quick(trainer.init)(jax.random.key(0)), quick(trainer.step)
    for _ in range(updates):
        state, _ = step(state)
    roll = quick(loop.collect(agent, venv, length))
    rollout = roll(jax.random.key(5), state.agent, state.env, state.timestep, state.carry, state.task)[3]
    return trainer, state, rollout


def one(tree, actor, axis):
    return jax.tree.map(lambda x: jnp.take(x, actor, axis), tree)


def test_a_team_of_one_that_shares_is_the_single_agent():
    """To rounding, in a world of one agent that is written with and without an axis for it."""
    world = envs.make("coordination", num_agents=1, max_steps=5)
    single = world._replace(
        num_agents=None,
        reset=lambda key, params: (lambda state, obs: (state, obs[0]))(*world.reset(key, params)),
        step=lambda key, state, action, params: (
            lambda state, obs, reward, ended: (state, obs[0], reward[0], ended[0])
        )(*world.step(key, state, action[None], params)),
    )
    _, team, together = played(teams.share_parameters(alone(world), 1), world)
    _, agent, apart = played(alone(world), single)
    contracts.assert_close(team.agent, agent.agent, 1e-6)
    contracts.assert_close(one(together.steps._replace(extras=()), 0, 2), apart.steps._replace(extras=()), 1e-6)


def test_those_who_share_are_rows():
    """What a shared agent learns from [T, N, A] is what it learns from the same steps as [T, N * A]."""
    env = envs.make("switch_riddle")
    agent = alone(env)
    _, state, rollout = played(teams.share_parameters(agent, 3), env)
    rows = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), rollout.steps)
    key = jax.random.key(1)
    together = quick(teams.share_parameters(agent, 3).learn)(state.agent, key, rollout)
    contracts.assert_equal(together, quick(agent.learn)(state.agent, key, rollout._replace(steps=rows)))


def test_identity_is_the_actors_number_behind_its_features():
    obs = Observation(jnp.arange(12.0).reshape(2, 3, 2))
    seen = teams.with_identity(obs).features
    np.testing.assert_array_equal(seen[..., :2], obs.features)
    np.testing.assert_array_equal(seen[..., 2:], np.broadcast_to(np.eye(3), (2, 3, 3)))


def test_a_team_without_a_state_of_the_world_sees_all_features():
    """And who is who; where the world tells its state, that is what is seen."""
    features = jnp.arange(12.0).reshape(2, 3, 2)
    state = teams.with_state(Observation(features)).state
    np.testing.assert_array_equal(state[0, 1], [0, 1, 2, 3, 4, 5, 0, 1, 0])
    told = teams.with_state(Observation(features, state=jnp.full((2, 3, 1), 7.0))).state
    np.testing.assert_array_equal(told[1, 2], [7, 0, 0, 1])
    late = jnp.full((2, 3, 1), 7.0).at[:, 0].set(0.0)  # the first agent has terminated
    np.testing.assert_array_equal(teams.world(Observation(features, state=late)), [[7.0], [7.0]])


def test_independent_agents_are_separate_runs():
    """Each of three acts and learns as it would alone, from its own steps and with its own part of the key."""
    env = envs.make("coordination", num_agents=3, max_steps=5)
    agent, team = alone(env), teams.independent(alone(env), 3)
    _, state, rollout = played(team, env)
    key = jax.random.key(3)
    after, _ = quick(team.learn)(state.agent, key, rollout)
    action, *_ = quick(team.act)(state.agent, key, state.carry, state.timestep)
    learn, act = quick(agent.learn), quick(agent.act)
    for actor, own_key in enumerate(jax.random.split(key, 3)):
        own = Rollout(one(rollout.steps, actor, 2), one(rollout.carry, actor, 1))
        before = one(state.agent, actor, 0)
        contracts.assert_close(one(after, actor, 0), learn(before, own_key, own)[0], 1e-5)
        timestep = one(state.timestep._replace(info={}), actor, 1)
        contracts.assert_close(action[:, actor], act(before, own_key, (), timestep)[0], 1e-5)
    assert contracts.differs(one(after.params, 0, 0), one(after.params, 1, 0))


def test_what_one_independent_agent_sees_the_others_never_learn():
    env = envs.make("coordination", num_agents=3, max_steps=5)
    team = teams.independent(alone(env), 3)
    _, state, rollout = played(team, env)
    learn = quick(team.learn)
    changed = rollout._replace(steps=rollout.steps._replace(reward=rollout.steps.reward.at[:, :, 1].add(1.0)))
    after, other = (learn(state.agent, jax.random.key(0), each)[0] for each in (rollout, changed))
    for actor in range(3):
        assert contracts.differs(one(after.params, actor, 0), one(other.params, actor, 0)) == (actor == 1)


def test_the_value_of_a_central_critic_sees_the_state_and_the_policy_does_not():
    """What the second of two agents sees moves the value of the first, and none of its policy's outputs."""
    network = with_central_critic(networks.actor_critic(SMALL, 3))
    features = jax.random.normal(jax.random.key(0), (4, 2, 5))

    def seen(features):
        return teams.merge(teams.with_state(Observation(features)))

    params = network.init(jax.random.key(1), seen(features))
    (outputs, value), (other_outputs, other_value) = (
        teams.split(network.step(params, network.begin(8), seen(each), jnp.zeros(8, bool))[1], 2)
        for each in (features, features.at[:, 1].add(1.0))
    )
    np.testing.assert_array_equal(outputs[:, 0], other_outputs[:, 0])
    assert (outputs[:, 1] != other_outputs[:, 1]).any() and (value != other_value).all()


def test_groups_learn_apart_and_the_frozen_one_stays():
    """Speaker and listener with their own sizes: an update of one touches nobody else, a frozen one not at all."""
    env = envs.make("simple_speaker_listener")
    sizes = {"speaker": (3, 3), "listener": (11, 5)}
    agent = {
        name: teams.share_parameters(
            agents.make(
                "ppo",
                env._replace(num_agents=None, action_space=jaxrl.spaces.Discrete(num_actions)),
                SMALL, CONFIG,
            ),
            1,
        )
        for name, (_, num_actions) in sizes.items()
    }  # fmt: skip
    parts = [
        teams.Group(agent["listener"], (1,), *sizes["listener"], frozen=True),
        teams.Group(agent["speaker"], (0,), *sizes["speaker"]),
    ]
    team = teams.groups(parts, 2)
    trainer, state, rollout = played(team, env)
    start = quick(trainer.init)(jax.random.key(0)).agent
    contracts.assert_equal(start[0], state.agent[0])
    assert contracts.differs(start[1].params, state.agent[1].params)
    assert state.agent[1].params["params"]["actor"]["kernels"][0].shape[0] == 3
    assert int(rollout.steps.action[..., 0].max()) < 3 and int(rollout.steps.action[..., 1].max()) < 5
    # what the speaker's group learns is what it would learn from its own part of the rollout
    own = rollout.steps
    own = own._replace(
        obs=own.obs._replace(features=own.obs.features[:, :, :1, :3], legal=own.obs.legal[:, :, :1, :3]),
        next_obs=own.next_obs._replace(
            features=own.next_obs.features[:, :, :1, :3], legal=own.next_obs.legal[:, :, :1, :3]
        ),
        extras=(),
    )
    own = jax.tree.map(lambda x: x if x.ndim > 3 else x[:, :, :1], own)._replace(extras=rollout.steps.extras[1])
    key = jax.random.key(2)
    after, metrics = quick(team.learn)(state.agent, key, rollout)
    expected, _ = quick(agent["speaker"].learn)(state.agent[1], jax.random.split(key, 2)[1], Rollout(own, ()))
    contracts.assert_close(after[1], expected, 1e-6)
    assert all(name.endswith("_1") for name in metrics)


def test_groups_must_have_every_actor_once():
    env = envs.make("coordination")
    with pytest.raises(UsageError, match=r"the groups have the actors \[0, 1, 1\]: expected each of 0 to 2"):
        teams.groups([teams.Group(alone(env), (0, 1)), teams.Group(alone(env), (1,))], 3)


@pytest.mark.parametrize(
    ("world", "team", "message"),
    [
        ("cartpole", {"learning": "independent"}, "but the environment has a single agent"),
        ("coordination", {"learning": "alone"}, "unknown learning of a team 'alone'"),
        ("coordination", {"learning": "independent", "identity": True}, "independent agents are who they are"),
        ("coordination", {"together": True}, "unknown option of the team 'together'"),
    ],
)
def test_what_does_not_fit_is_said(world, team, message):
    with pytest.raises(UsageError, match=message):
        jaxrl.train("ppo", world, team=team, num_steps=2000, progress=False)


def test_rates_count_environment_steps_and_not_actors():
    """Of a shared agent: as many gradient steps for a step of the world as an agent of that world alone would take."""
    options = {"num_steps": 600, "num_envs": 4, "rollout_length": 5, "progress": False, "network": {"hidden": [8]}}
    config = {"learning_starts": 12, "gradient_steps": 0.1, "batch_size": 8, "buffer_size": 200}
    steps = [
        int(np.max(jaxrl.train("dqn", "simple_spread", team={"learning": how}, config=config, **options)
                   .agent_state(0).gradient_steps))
        for how in ("shared", "independent")
    ]  # fmt: skip
    assert steps == [60, 60]


def test_an_average_is_over_the_steps_of_an_episode():
    """Of a measure that evaluation reports at the end as well: against a walk by hand."""
    env = envs.make("simple_spread", max_steps=7)
    agent = agents.make("random", env)
    played = quick(evaluate.evaluate(agent, env, 5))(jax.random.key(0), ())
    venv = vectorize(env, 5)
    reset_key, play_key = jax.random.split(keys.inline(jax.random.key(0)))
    state, timestep = venv.reset(reset_key, env.params)
    roll, seen = loop.collect(agent, venv, 1), []
    for i in range(7):
        key = jax.random.fold_in(play_key, i)
        state, timestep, _, _, info = roll(key, (), state, timestep, (), env.params, False)
        seen.append(np.asarray(info["distance"][0]))
    np.testing.assert_allclose(played.averages["distance"], np.mean(seen, 0), rtol=1e-5)
    np.testing.assert_allclose(played.measures["distance"], seen[-1], rtol=1e-6)


def test_the_policy_of_a_team_plays_for_all_of_it():
    """One world or a batch of them, alike; what is no observation of the whole team is refused."""
    result = jaxrl.train(
        "ppo", "simple_spread", num_steps=200, num_envs=2, rollout_length=20, network={"hidden": [8], "cell": "gru"},
        config={"chunk_length": 5}, progress=False,
    )  # fmt: skip
    obs = np.asarray(envs.make("simple_spread").reset(jax.random.key(0), envs.make("simple_spread").params)[1])
    action = result.policy(obs)
    assert action.shape == (3,)
    result.policy.reset()
    np.testing.assert_array_equal(result.policy(np.stack([obs, obs])), [action, action])
    with pytest.raises(UsageError, match="does not fit"):
        result.policy(obs[0])
