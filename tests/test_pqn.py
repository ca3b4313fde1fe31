"""PQN: targets worked out by hand, what masks and memory do to them, schedules, and layer normalisation."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_ppo import unit_steps

from jaxrl import agents, envs, loop, statistics, value_networks
from jaxrl.agents import pqn
from jaxrl.envs.probes import counter
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Network, Observation, Rollout, Timestep, Transition
from jaxrl.vectorize import vectorize

# Q of states 0 to 5. Row 0 of the rollout: 0 -1-> 1 -0-> 2 -1-> 3, where the rollout ends. Row 1: 3 -0-> 4, where a
# limit ends the episode; 2 -0-> 5, which terminates; 1 -1-> 0. Each pair is met once. In state 2 action 1 explores.
TABLE = np.array([[1.0, 2.0], [4.0, 3.0], [-1.0, -2.0], [6.0, 0.5], [0.0, 8.0], [50.0, 70.0]])
STATES = np.array([[0, 3], [1, 2], [2, 1]])
ACTIONS = np.array([[1, 0], [0, 0], [1, 1]])
NEXT = np.array([[1, 4], [2, 5], [3, 0]])
REWARDS = np.array([[1.0, 3.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
FIRST = np.array([[True, True], [False, True], [False, True]])
TERMINATED = np.array([[False, False], [False, True], [False, False]])
TRUNCATED = np.array([[False, True], [False, False], [False, False]])
EVERY = np.ones((3, 2), bool)

# By hand, with discount 1/2 and trace decay 1/4, from the back. Row 0: 5 + 6/2 = 8; 3 + (3/4 * -1 + 1/4 * 8) / 2, where
# Watkins's Q(lambda) would bootstrap (3 - 1/2), because the next action explores; 1 + (3/4 * 4 + 1/4 * 3.625) / 2.
# Row 1: 3 + 8/2 at the limit; 4 at the termination, whatever state 5 is worth; 6 + 2/2 where the rollout ends.
TARGETS = np.array([[2.953125, 7.0], [3.625, 4.0], [8.0, 7.0]])


def table() -> Network:
    """A network whose parameters are action values [S, A] and whose features are the state."""

    def step(params, carry, obs, first, key=None):
        return carry, params[obs.features]

    return Network(lambda key, obs: jnp.asarray(TABLE, jnp.float32), lambda n: (), step, step)


def targets(valid=EVERY, legal=None, **config):
    """[T, N]: found again in what one plain gradient step with rate 1 does to the table; the loss must agree."""
    steps = Transition(
        Observation(STATES, legal), FIRST, ACTIONS, REWARDS, TERMINATED, TRUNCATED, valid, Observation(NEXT, legal), ()
    )  # fmt: skip
    hyper = {"discount": 0.5, "trace_decay": 0.25, "learning_rate": 1.0, "max_gradient_norm": float("inf")}
    agent = pqn.pqn(table(), Discrete(2), pqn.Config(1, 1, **(hyper | config)), optax.identity())
    rollout = Rollout(jax.tree.map(jnp.asarray, steps), ())
    state = agent.init(jax.random.key(0), Timestep(*[jnp.zeros(2)] * 7, {}))
    after, metrics = agent.learn(state, jax.random.key(1), rollout)
    moved, met = np.asarray(after.params, float) - TABLE, np.zeros_like(TABLE, bool)
    met[STATES, ACTIONS] = valid
    assert (moved[~met] == 0).all() and (moved[met] != 0).all()
    errors = valid.sum() * moved[STATES, ACTIONS]
    np.testing.assert_allclose(metrics["loss"].value(), (errors**2).sum() / valid.sum() / 2, rtol=1e-5)
    return TABLE[STATES, ACTIONS] + errors


def test_targets_by_hand():
    """Peng's Q(lambda): cut where an episode ends, bootstrapped from what was reached, through exploratory actions."""
    np.testing.assert_allclose(targets(), TARGETS, rtol=1e-5)


def test_no_illegal_action_is_in_a_target():
    """Without action 1 in state 4 and action 0 in state 1 (of value 8 and 4), the best of the others counts."""
    legal = np.ones((3, 2, 2), bool)
    legal[0, 1, 1] = legal[0, 0, 0] = False
    expected = TARGETS + np.array([[0.5 * 0.75 * (3 - 4), 0.5 * (0 - 8)], [0, 0], [0, 0]])
    np.testing.assert_allclose(targets(legal=legal), expected, rtol=1e-5)


def test_rewards_are_scaled():
    """Q then estimates the scaled return: what is bootstrapped is not scaled once more."""
    expected = np.array([[0.1 + (3 + 0.25 * 0.3) / 2, 4.3], [0.3, 0.4], [3.5, 1.6]])
    expected[1, 0] += (0.75 * -1 + 0.25 * 3.5) / 2
    expected[0, 0] += 0.25 * (expected[1, 0] - 0.3) / 2
    np.testing.assert_allclose(targets(reward_scale=0.1), expected, rtol=1e-5)


def test_invalid_steps_end_what_comes_before():
    """Without row 0's second step its first one bootstraps, and the mean is over the five that are left."""
    valid = EVERY.copy()
    valid[1, 0] = False
    found = targets(valid=valid)
    np.testing.assert_allclose(found[0], [1 + 4 / 2, 7], rtol=1e-5)
    np.testing.assert_allclose(found[2], TARGETS[2], rtol=1e-5)


def counting() -> Network:
    """A network whose carry counts the steps of the episode, and whose four values are the count."""

    def step(params, carry, obs, first, key=None):
        count = jnp.where(first, 0, carry) + 1
        return count, jnp.stack([count] * 4, -1) + 0 * params

    def unroll(params, carry, obs, first, key=None):
        def body(carry, x):
            carry, out = step(params, carry, x[0], x[1])
            return carry, (carry, out)

        return jax.lax.scan(body, carry, (obs, first))[1]

    return Network(lambda key, obs: jnp.float32(0), lambda n: jnp.zeros(n), step, unroll)


@pytest.mark.parametrize("chunk_length", [1, 3, 6])
def test_a_carry_counts_in_the_loss_as_in_the_rollout(chunk_length):
    """In every chunk the carry is the number of steps since the episode began, and it goes on to what was reached.

    With discount 1 and no traces the target of step t is t + (t + 2), also at a limit, and the value t + 1.
    """
    env = counter(length=None, max_steps=4)
    config = pqn.Config(2, 2, chunk_length, discount=1.0, trace_decay=0.0, learning_rate=0.0)
    trainer = loop.make_trainer(pqn.pqn(counting(), env.action_space, config), vectorize(env, 4), 6)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    for times in ([0, 1, 2, 3, 0, 1], [2, 3, 0, 1, 2, 3]):
        state, metrics = step(state)
        np.testing.assert_allclose(metrics["loss"].value(), np.mean((np.array(times) + 1.0) ** 2) / 2, rtol=1e-6)
        np.testing.assert_allclose(metrics["q"].value(), np.mean(np.array(times) + 1.0), rtol=1e-6)


@pytest.mark.parametrize(("num_epochs", "num_minibatches"), [(1, 1), (2, 3)])
def test_the_learning_rate_falls_linearly(num_epochs, num_minibatches):
    """At every optimiser step: first the full rate, then less by the same amount each time, at the last still some."""
    env, num_updates = envs.make("chain"), 4
    num_steps = num_updates * num_epochs * num_minibatches
    config = pqn.Config(num_epochs, num_minibatches, learning_rate=0.5, total_updates=float(num_updates))
    agent = pqn.pqn(value_networks.q_network(Settings(()), 1), env.action_space, config, unit_steps())
    trainer = loop.make_trainer(agent, vectorize(env, 3), 2)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    weights, reported = [jax.tree.leaves(state.agent.params)[0].ravel()[0]], []
    for _ in range(num_updates):
        state, metrics = step(state)
        weights.append(jax.tree.leaves(state.agent.params)[0].ravel()[0])
        reported.append(metrics["learning_rate"].value())
    expected = 0.5 * (1 - np.arange(num_steps) / num_steps).reshape(num_updates, -1)
    np.testing.assert_allclose(-np.diff(weights), expected.sum(1), rtol=1e-5)
    np.testing.assert_allclose(reported, expected.mean(1), rtol=1e-5)
    assert int(state.agent.gradient_steps) == num_steps


def test_epsilon_falls_with_environment_steps():
    """Linearly from start to end, then it stays; of 20,000 actions, half of the random ones are not the best.

    A share of 0.5 has a standard error of 0.0035, and 0.02 is more than five of them. 4 rows x 6 steps are 24.
    """
    this = contracts.case("pqn")
    assert [int(state.agent.env_steps) for state in this.history] == [0, 24, 48, 72]
    agent = pqn.pqn(table(), Discrete(2), pqn.Config(epsilon_start=0.8, epsilon_end=0.2, epsilon_steps=1000.0))
    rows = jnp.zeros(20_000, bool)
    timestep = Timestep(Observation(jnp.zeros(20_000, int)), rows, *[jnp.zeros(20_000)] * 5, {})
    state, act = agent.init(jax.random.key(0), timestep), contracts.quick(agent.act)
    for steps, epsilon in ((0, 0.8), (500, 0.5), (1000, 0.2), (2000, 0.2)):
        action = act(state._replace(env_steps=jnp.int32(steps)), jax.random.key(1), (), timestep)[0]
        np.testing.assert_allclose(np.mean(np.asarray(action) == 0), epsilon / 2, atol=0.02)


def test_layer_norm_forgets_the_scale():
    """Without biases, ten times the input gives the same values, whether rows or columns hold the batch."""
    kinds = (Settings((16, 8), "relu", normalisation=kind) for kind in (None, "layer"))
    plain, normal = (value_networks.q_network(settings, 3) for settings in kinds)
    for rows in (4, 300):
        obs, first = Observation(jax.random.normal(jax.random.key(0), (rows, 5))), jnp.ones(rows, bool)
        params = normal.init(jax.random.key(1), obs)
        values = [np.asarray(normal.step(params, (), Observation(k * obs.features), first)[1]) for k in (1, 10)]
        np.testing.assert_allclose(*values, atol=1e-4)
        few = normal.step(params, (), Observation(obs.features[:4]), first[:4])[1]
        np.testing.assert_allclose(values[0][:4], few, atol=1e-5)
        params = plain.init(jax.random.key(1), obs)
        values = [np.asarray(plain.step(params, (), Observation(k * obs.features), first)[1]) for k in (1, 10)]
        np.testing.assert_allclose(10 * values[0], values[1], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="discrete"):
        pqn.pqn(table(), Box(-1.0, 1.0, (2,)))
    env = envs.make("chain")
    agent = agents.make("pqn", env, Settings((8,)), pqn.Config(chunk_length=4))
    trainer = loop.make_trainer(agent, vectorize(env, 4), 6)
    with pytest.raises(UsageError, match="chunk_length"):
        jax.eval_shape(trainer.step, jax.eval_shape(trainer.init, jax.random.key(0)))


def at_the_end(metric, env, settings, config, num_updates, num_seeds, length):
    """[S]: a metric of whole episodes, averaged over the last quarter of the updates of each seed."""
    agent = agents.make("pqn", env, settings, config)
    run = loop.train(loop.make_trainer(agent, vectorize(env, 16), length), num_updates)
    keys = jax.random.split(jax.random.key(0), num_seeds)
    values = contracts.quick(jax.vmap(lambda key: run(key)[1][metric]))(keys)
    return statistics.Mean(*(x[:, -num_updates // 4 :] for x in values)).value(axis=-1)


def test_it_learns_where_the_mask_allows():
    """A masked walk of 6 steps returns 4 at best; 8 seeds average above 3.7 after 40 updates of 128 steps.

    All of 64 seeds ended at exactly 4. Were one in 21 to end at 3 (the 95 % bound of that), three of 8 would raise a
    false alarm once in 200 times. The control, a learning rate of 0, had 3.05 +- 0.76 over 64 seeds and must fail.
    """
    env, settings = envs.make("masked_walk", length=6), Settings((16,), "relu", normalisation="layer")
    config = pqn.Config(4, 4, learning_rate=0.02, trace_decay=0.9, epsilon_steps=2_000.0, epsilon_end=0.0)
    assert at_the_end("episode_return", env, settings, config, 40, 8, 8).mean() > 3.7
    still = config._replace(learning_rate=0.0)
    assert at_the_end("episode_return", env, settings, still, 40, 8, 8).mean() < 3.7


@pytest.mark.slow
def test_memory_is_what_solves_the_t_maze():
    """With a corridor of 3 a recurrent network succeeds; a feed-forward one, the control, half of the time.

    Over 16 seeds: GRU 0.993 +- 0.009, so that for the mean of 4 seeds 4 standard errors lead to 0.975.
    """
    env, success = envs.make("t_maze", length=3), {}
    config = pqn.Config(
        4, 4, 16, learning_rate=5e-3, discount=0.9, trace_decay=0.65, epsilon_steps=20_000.0, epsilon_end=0.02
    )
    for cell in ("gru", None):
        settings = Settings((16,), cell=cell, cell_size=16, normalisation="layer")
        success[cell] = at_the_end("success", env, settings, config, 150, 4, 16).mean()
    assert success["gru"] > 0.97 and success[None] < 0.6
