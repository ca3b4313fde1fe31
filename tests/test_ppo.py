"""PPO: the ratio is 1 before anything was learnt, memory is what it was, rates and statistics are the right ones."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contracts import ROWS, case, inner

from jaxrl import agents, envs, loop, networks, statistics
from jaxrl.agents import normalisers, on_policy, ppo
from jaxrl.envs.probes import counter
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Network
from jaxrl.vectorize import vectorize

FORMS = [name for name in ROWS if ROWS[name].algorithm == "ppo" and ROWS[name].make().num_agents is None]
variants = pytest.mark.parametrize("name", contracts.marked(FORMS))


def with_config(agent_state, **values):
    """The agent's state with other hyper-parameters, of the agent inside where something is wrapped around it."""
    if "agent" in agent_state._fields:
        return agent_state._replace(agent=with_config(agent_state.agent, **values))
    changed = {name: jnp.float32(value) for name, value in values.items()}
    return agent_state._replace(config=agent_state.config._replace(**changed))


# the moments of a batch move, and with them the ratio
@pytest.mark.parametrize("name", contracts.marked(n for n in FORMS if ROWS[n].network.normalisation != "batch"))
def test_the_ratio_is_one_at_first(name):
    """After training, whatever the normalisers saw since: no first ratio is off by 1e-5, on any rollout.

    A learning rate of 0 keeps the policy, so that this holds in all minibatches of all epochs.
    """
    this = case(name)
    state = this.history[3]
    for _ in range(3):
        still = state._replace(agent=with_config(state.agent, clip_range=1e-5, learning_rate=0.0))
        after, metrics = this.step(still)
        assert float(metrics["clip_fraction"].total) == 0
        contracts.assert_equal(inner(after.agent).params, inner(state.agent).params)
        state = this.step(state)[0]
    rollout = this.roll(jax.random.key(0), still)[3]
    off = rollout._replace(steps=rollout.steps._replace(extras={"log_prob": rollout.steps.extras["log_prob"] + 2e-5}))
    assert float(this.learn(still.agent, jax.random.key(0), off)[1]["clip_fraction"].value()) == 1


@variants
def test_log_probabilities_are_those_of_the_actions(name):
    """Step by step through a rollout, with the carry it began with, the stored log-probabilities are found again."""
    this = case(name)
    state = this.history[3]
    rollout, agent = this.roll(jax.random.key(0), state)[3], inner(state.agent)
    network, head = this.network, this.head
    carry, step = rollout.carry, contracts.quick(network.step)
    for t in range(ROWS[name].rollout_length):
        now = jax.tree.map(lambda x, t=t: x[t], rollout.steps)
        obs = normalisers.normalise(agent.normalisers, now.obs)
        carry, (outputs, _) = step(agent.params, carry, obs, now.first)
        log_prob = head.distribution(outputs, obs.legal).log_prob(now.action)
        contracts.assert_close(log_prob, now.extras["log_prob"], 1e-5)
    if this.env.action_space == Box(-1.0, 1.0, (2,)):
        assert (np.abs(rollout.steps.action) > 1).any()


def counting(weight):
    """A network whose carry counts the steps of the episode: value = count, logits (0, weight (count - 1 - t))."""

    def step(params, carry, obs, first, key=None):
        count = jnp.where(first, 0, carry) + 1
        off = count - 1 - obs.features[..., 1]
        logits = jnp.stack([jnp.zeros_like(off), weight * jnp.abs(off), *[-1e9 + 0 * off] * 2], -1)
        return count, (logits + 0 * params, count + 0 * params)

    def unroll(params, carry, obs, first, key=None):
        def body(carry, x):
            carry, out = step(params, carry, x[0], x[1])
            return carry, (carry, out)

        return jax.lax.scan(body, carry, (obs, first))[1]

    return Network(lambda key, obs: jnp.float32(0), lambda n: jnp.zeros(n), step, unroll)


@pytest.mark.parametrize("chunk_length", [1, 2, 3, 6])
def test_a_carry_counts_in_the_loss_as_in_the_rollout(chunk_length):
    """In every chunk the carry is the number of steps since the episode began, and it goes on to what was reached.

    The entropy is log 2 exactly if the counts are right; and with discount 1 and no traces the target of step t is
    t + (t + 2), also at a limit, so that the value loss is the mean of (t + 1)^2 / 2.
    """
    env = counter(length=None, max_steps=4)
    config = ppo.Config(2, 2, chunk_length, discount=1.0, trace_decay=0.0, learning_rate=0.0, value_clip_range=jnp.inf)
    agent = ppo.ppo(counting(50.0), Discrete(4), config)
    trainer = loop.make_trainer(agent, vectorize(env, 4), 6)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    for times in ([0, 1, 2, 3, 0, 1], [2, 3, 0, 1, 2, 3]):
        state, metrics = step(state)
        np.testing.assert_allclose(metrics["entropy"].value(), np.log(2), rtol=1e-6)
        np.testing.assert_allclose(metrics["value_loss"].value(), np.mean((np.array(times) + 1.0) ** 2) / 2, rtol=1e-6)


def test_chunks_keep_sequences_together():
    """A chunk is L steps in a row of one row, and its carry the one from before its first step."""
    time, row = np.meshgrid(np.arange(6), np.arange(4), indexing="ij")
    carry, items = on_policy.chunks(jnp.asarray(10 * time + row), jnp.stack([time, row], -1), 3)
    assert items.shape == (8, 3, 2) and carry.shape == (8,)
    items = np.asarray(items)
    assert (items[:, :, 1] == items[:, :1, 1]).all() and (np.diff(items[:, :, 0], axis=1) == 1).all()
    np.testing.assert_array_equal(carry, 10 * items[:, 0, 0] + items[:, 0, 1])
    assert len(np.unique(items.reshape(-1, 2), axis=0)) == 24


def unit_steps():
    """A direction of 1 for every parameter, so that a parameter tells the sum of all learning rates."""
    return optax.stateless(lambda updates, params: jax.tree.map(jnp.ones_like, updates))


@pytest.mark.parametrize(("num_epochs", "num_minibatches"), [(1, 1), (2, 3)])
def test_the_learning_rate_falls_linearly(num_epochs, num_minibatches):
    """At every optimiser step: first the full rate, then less by the same amount each time, at the last still some."""
    env, num_updates = envs.make("chain"), 4
    num_steps = num_updates * num_epochs * num_minibatches
    config = ppo.Config(num_epochs, num_minibatches, learning_rate=0.5, total_updates=float(num_updates))
    agent = ppo.ppo(networks.actor_critic(Settings(()), 1), env.action_space, config, unit_steps())
    trainer = loop.make_trainer(agent, vectorize(env, 3), 2)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    weights, reported = [jax.tree.leaves(state.agent.params)[0].ravel()[0]], []
    for _ in range(num_updates):
        state, metrics = step(state)
        weights.append(jax.tree.leaves(state.agent.params)[0].ravel()[0])
        reported.append(metrics["learning_rate"].value())
    expected = 0.5 * (1 - np.arange(num_steps) / num_steps).reshape(num_updates, -1)
    assert expected[-1, -1] > 0
    np.testing.assert_allclose(-np.diff(weights), expected.sum(1), rtol=1e-5)
    np.testing.assert_allclose(reported, expected.mean(1), rtol=1e-5)
    assert int(state.agent.gradient_steps) == num_steps


def test_normalisers_change_at_the_end_of_learning():
    """They hold all steps of all earlier rollouts, and rewards are scaled by what they held before this one."""
    this = case("ppo, normalised")
    state = this.history[1]
    rollout = this.roll(jax.random.split(state.key, 4)[1], state)[3]
    before, after = state.agent.normalisers, this.history[2].agent.normalisers
    features, rewards = np.asarray(rollout.steps.obs.features, np.float64), np.asarray(rollout.steps.reward, np.float64)
    assert float(statistics.num_rows(before.observations.count)) == 24
    assert float(statistics.num_rows(after.observations.count)) == 48
    first = this.roll(jax.random.split(this.history[0].key, 4)[1], this.history[0])[3].steps.obs.features
    both = np.concatenate([np.asarray(first, np.float64), features]).reshape(-1, 2)
    np.testing.assert_allclose(after.observations.mean, both.mean(0), rtol=1e-5)
    np.testing.assert_allclose(statistics.deviation(after.observations), both.std(0), rtol=1e-4)

    totals, total = [], np.asarray(before.discounted_return, np.float64)
    for reward, opens in zip(rewards, np.asarray(rollout.steps.first), strict=True):
        total = np.where(opens, 0, total) * 0.99 + reward
        totals.append(total)
    np.testing.assert_allclose(after.discounted_return, totals[-1], rtol=1e-5)
    scaled, _ = normalisers.scale_rewards(before, rollout.steps, jnp.float32(0.99))
    deviation = float(statistics.deviation(before.returns))
    np.testing.assert_allclose(scaled, np.clip(rewards / deviation, -10, 10), rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"), [({"chunk_length": 4}, "chunk_length"), ({"num_minibatches": 7}, "num_minibatches")]
)
def test_shapes_that_do_not_divide_are_refused(config, message):
    env = envs.make("chain")
    agent = agents.make("ppo", env, Settings((8,)), ppo.Config(**config))
    trainer = loop.make_trainer(agent, vectorize(env, 4), 6)
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(trainer.step, jax.eval_shape(trainer.init, jax.random.key(0)))


def at_the_end(metric, env, settings, config, num_updates, num_seeds, num_envs=16, length=8):
    """[S]: a metric of whole episodes, averaged over the last quarter of the updates of each seed."""
    agent = agents.make("ppo", env, settings, config)
    run = loop.train(loop.make_trainer(agent, vectorize(env, num_envs), length), num_updates)
    keys = jax.random.split(jax.random.key(0), num_seeds)
    values = contracts.quick(jax.vmap(lambda key: run(key)[1][metric]))(keys)
    return statistics.Mean(*(x[:, -num_updates // 4 :] for x in values)).value(axis=-1)


def test_it_learns_where_the_mask_allows():
    """A masked walk of 6 steps returns 4 at best and 3 at random; 8 seeds average 3.95 after 40 updates of 128 steps.

    64 seeds had mean 3.998 and standard deviation 0.013, so that 4 standard errors lead to 3.979 (a false alarm in
    30,000). The control, a learning rate of 0, stays at 3.00 +- 0.02 and must fail.
    """
    env, config = envs.make("masked_walk", length=6), ppo.Config(learning_rate=0.02, entropy_coefficient=0.0)
    assert at_the_end("episode_return", env, Settings((8,)), config, 40, 8).mean() > 3.95
    still = config._replace(learning_rate=0.0)
    assert at_the_end("episode_return", env, Settings((8,)), still, 40, 8).mean() < 3.1


@pytest.mark.slow
def test_memory_is_what_solves_the_t_maze():
    """With a corridor of 3 a recurrent policy succeeds; a feed-forward one, the control, half of the time.

    Over 16 seeds: GRU 1.000 +- 0.0003, LSTM 0.985 +- 0.029, feed-forward 0.496 +- 0.010 (mean and standard deviation),
    so that for the mean of 4 seeds 4 standard errors lead to 0.927 and 0.52.
    """
    env, success = envs.make("t_maze", length=3), {}
    config = ppo.Config(chunk_length=16, learning_rate=5e-3, num_minibatches=2, entropy_coefficient=0.02)
    for cell in ("gru", "lstm", None):
        settings = Settings((16,), cell=cell, cell_size=16)
        success[cell] = at_the_end("success", env, settings, config, 150, 4, length=16).mean()
    assert success["gru"] > 0.92 and success["lstm"] > 0.92 and success[None] < 0.55
