"""The loop: what a rollout holds and how its parts are aligned, and what a training step reports."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
from test_vectorize import script, team

from jaxrl import envs, loop
from jaxrl.envs.probes import counter
from jaxrl.types import Agent
from jaxrl.vectorize import vectorize


def stub(action):
    """An agent that counts in its carry the steps since an episode's start, and gives back what it is told to do."""

    def act(state, key, carry, timestep, explore=True):
        carry = jnp.where(timestep.first, 0, carry) + 1
        return action if explore else jnp.zeros_like(action), carry, {"count": carry}

    def learn(state, key, rollout):
        return state, {}

    return Agent(lambda key, timestep: (), lambda n: jnp.zeros(n, jnp.int32), act, learn)


def collected(env, num_steps, num_envs=3, explore=True, action=None):
    venv = vectorize(env, num_envs)
    agent = stub(jnp.zeros(venv.num_rows, jnp.int32) if action is None else action)
    state, timestep = venv.reset(jax.random.key(0), env.params)
    roll = loop.collect(agent, venv, num_steps)
    carry = agent.begin(venv.num_rows) + 7
    rolled = contracts.quick(lambda *args: roll(*args, explore))(
        jax.random.key(1), (), state, timestep, carry, env.params
    )
    return timestep, jax.tree.map(np.asarray, rolled)


def test_a_rollout_is_aligned():
    """Each step holds what was seen, whether that opened an episode, and what the step then earned and reached."""
    start, (_, last, carry, rollout, info) = collected(envs.make("counter", length=5, max_steps=3), 8)
    steps = rollout.steps
    episode, time = steps.obs.features[..., 0], steps.obs.features[..., 1]
    assert time.shape == (8, 3)
    np.testing.assert_array_equal(steps.obs.features[0], start.obs.features)
    np.testing.assert_array_equal(time, np.tile((np.arange(8) % 3)[:, None], 3))
    np.testing.assert_array_equal(steps.first, time == 0)
    np.testing.assert_array_equal(steps.reward, time)
    np.testing.assert_array_equal(steps.next_obs.features, np.stack([episode, time + 1], -1))
    np.testing.assert_array_equal(steps.truncated, time == 2)
    np.testing.assert_array_equal(steps.ended, time == 2)
    assert not steps.terminated.any() and steps.valid.all()
    going_on = ~steps.ended[:-1]
    np.testing.assert_array_equal(steps.next_obs.features[:-1][going_on], steps.obs.features[1:][going_on])
    assert (episode[1:][~going_on] != episode[:-1][~going_on]).all()
    np.testing.assert_array_equal(last.obs.features, steps.next_obs.features[-1])
    np.testing.assert_array_equal(info["episode_length"], time + 1)
    np.testing.assert_array_equal(info["episode_return"], time * (time + 1) / 2)


def test_a_carry_counts_the_steps_of_its_own_episode():
    """It restarts with the observation that opens an episode, and the rollout keeps the carry from before its start."""
    _, (_, _, carry, rollout, _) = collected(counter(length=None, max_steps=3), 8)
    np.testing.assert_array_equal(rollout.steps.extras["count"], rollout.steps.obs.features[..., 1] + 1)
    np.testing.assert_array_equal(rollout.carry, 7)
    np.testing.assert_array_equal(carry, rollout.steps.extras["count"][-1])


def test_actions_are_stored_as_they_were_drawn():
    """A continuous action beyond the bounds is the agent's own: its log-probability belongs to it, not to the bound."""
    action = jnp.full((3, 2), 5.0)
    _, (*_, rollout, _) = collected(envs.make("quadratic"), 4, action=action)
    np.testing.assert_array_equal(rollout.steps.action, np.broadcast_to(action, (4, 3, 2)))
    at_bound = -np.sum((1 - 0.5 * rollout.steps.obs.features) ** 2, -1)
    np.testing.assert_allclose(rollout.steps.reward, at_bound, rtol=1e-6)
    _, (*_, greedy, _) = collected(envs.make("quadratic"), 4, action=action, explore=False)
    np.testing.assert_array_equal(greedy.steps.action, 0)


def trained(env, num_updates, length=5, num_envs=2, update_task=None):
    venv = vectorize(env, num_envs)
    shape = (num_envs,) if env.num_agents is None else (num_envs, env.num_agents)
    agent = stub(jnp.zeros(shape, jnp.int32))
    agent = agent._replace(begin=lambda n: jnp.zeros(shape, jnp.int32))
    trainer = loop.make_trainer(agent, venv, length, update_task)
    state, metrics = contracts.quick(loop.train(trainer, num_updates))(jax.random.key(0))
    return trainer, state, jax.tree.map(np.asarray, metrics)


def test_episodes_are_reported_once():
    """The sums over updates are those of all whole episodes: 15 steps of 2 rows hold 2 x 3 episodes of 4 steps."""
    trainer, state, metrics = trained(script(length=4), 3)
    assert trainer.steps_per_update == 10 and int(state.updates) == 3
    assert metrics["episode_return"].count.shape == (3,)
    np.testing.assert_array_equal(metrics["episode_length"].count, [2, 2, 2])
    np.testing.assert_array_equal(metrics["episode_length"].total, [8, 8, 8])
    np.testing.assert_array_equal(metrics["episode_return"].total, [2222] * 3)
    np.testing.assert_array_equal(metrics["time"].total, [8, 8, 8])


def test_every_agent_of_a_world_is_reported_once():
    """Agents that die after 1, 2 and 3 steps report at their death, and once, also where a limit comes first."""
    _, _, metrics = trained(team(), 1, length=9)
    assert metrics["episode_return"].count == 2 * 3 * 3
    assert metrics["episode_return"].total == 2 * 3 * (1 + 4 + 9)
    assert metrics["episode_length"].total == 2 * 3 * (1 + 2 + 3)
    _, _, metrics = trained(team(2), 1, length=8)
    assert metrics["episode_return"].count == 2 * 4 * 3
    assert metrics["episode_return"].total == 2 * 4 * (1 + 4 + 6)


def test_a_curriculum_changes_the_task():
    """`update_task` sees each rollout, and the worlds follow the task that it gives back."""
    _, state, metrics = trained(script(length=1), 3, update_task=lambda key, task, rollout, info: task + 1)
    assert int(state.task) == 4
    np.testing.assert_array_equal(metrics["episode_length"].count, [10, 4, 4])
    np.testing.assert_array_equal(metrics["episode_length"].total, [10, 8, 12])


def test_training_is_its_steps_in_a_row():
    """`train` is init and step, repeated; the key of the state moves on with every step."""
    trainer, state, _ = trained(envs.make("random_mdp"), 3)
    by_hand, keys = contracts.quick(trainer.init)(jax.random.key(0)), []
    step = contracts.quick(trainer.step)
    for _ in range(3):
        keys.append(tuple(jax.random.key_data(by_hand.key).tolist()))
        by_hand, _ = step(by_hand)
    contracts.assert_equal(by_hand, state)
    assert len(set(keys)) == 3


def test_masks_that_forbid_everything_are_reported():
    """A compiled program raises nothing: the share of such steps is a metric, where the world has masks."""
    env = envs.make("masked_walk", length=4)
    nowhere = env._replace(legal_actions=lambda state, params: jnp.arange(2) < jnp.where(state == 2, 0, 2))
    for world, share in ((env, 0.0), (nowhere, 0.25)):
        trainer = loop.make_trainer(stub(jnp.zeros(2, jnp.int32)), vectorize(world, 2), 8)
        _, metrics = contracts.quick(lambda key, trainer=trainer: trainer.step(trainer.init(key)))(jax.random.key(0))
        assert float(metrics["no_legal_action"].value()) == share
