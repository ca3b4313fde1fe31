"""Sarsa(lambda) over tiles: the textbook's loops, the exact values of a policy, and the mountain car."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import agents, envs, exact, loop, transforms
from jaxrl.agents.tabular.linear_sarsa import Config, linear_sarsa
from jaxrl.errors import UsageError
from jaxrl.evaluate import evaluate
from jaxrl.spaces import Box, Discrete
from jaxrl.tiles import tile_coding
from jaxrl.types import Observation, Rollout, Timestep, Transition
from jaxrl.vectorize import vectorize

SPACE, ACTIONS = Box(-1.0, 1.0, (2,)), 3
STEP, DISCOUNT, DECAY, EPSILON, TILES, TILINGS = 0.4, 0.9, 0.7, 0.3, 2, 4


def stream(seed, length=60):
    """Transitions [length] of one row: (obs, action, reward, ending, obs reached, obs opens an episode)."""
    generator, rows = np.random.default_rng(seed), []
    obs, first = generator.uniform(-1, 1, 2), True
    for _ in range(length):
        reached = np.clip(obs + generator.normal(size=2) * 0.3, -1, 1)
        ending = generator.choice(["", "terminated", "truncated"], p=[0.8, 0.1, 0.1])
        rows.append((obs, generator.integers(ACTIONS), generator.normal() - 1, ending, reached, first))
        obs, first = (generator.uniform(-1, 1, 2), True) if ending else (reached, False)
    return rows


def by_hand(steps, start, true_online):
    """The book's loops over binary features x and weights w (12.7 and its true online form); w * TILINGS in the end."""
    coding = tile_coding(*SPACE.bounds(), TILES, TILINGS)
    step = STEP / TILINGS
    w, z, old = start.astype(np.float64) / TILINGS, 0.0, 0.0

    def x(obs, action):
        found = np.zeros_like(w)
        found[np.asarray(coding.indices(jnp.asarray(obs, jnp.float32))), action] = 1
        return found

    for (obs, action, reward, ending, reached, first), (obs_next, action_next, *_) in zip(
        steps, steps[1:], strict=False
    ):
        here = x(obs, action)
        z, old = (0 * w, 0.0) if first else (z, old)
        value = (w * here).sum()
        following = (w * x(obs_next, action_next)).sum()
        if ending:
            values = np.array([(w * x(reached, a)).sum() for a in range(ACTIONS)])
            following = ((1 - EPSILON) * values.max() + EPSILON * values.mean()) if ending == "truncated" else 0.0
        delta = reward + DISCOUNT * following - value
        z = DISCOUNT * DECAY * z
        if true_online:
            z = z + (1 - step * (z * here).sum()) * here
            w = w + step * (delta + value - old) * z - step * (value - old) * here
        else:
            z = np.where(here.any(1, keepdims=True), here, z)
            w = w + step * delta * z
        old = following
    return w * TILINGS


def learner(rows=1, **options):
    config = Config(
        tiles=TILES, tilings=TILINGS, learning_rate=STEP, discount=DISCOUNT, trace_decay=DECAY, epsilon=EPSILON
    )._replace(**options)
    agent = linear_sarsa(SPACE, Discrete(ACTIONS), config)
    no, obs = jnp.zeros(rows, bool), Observation(jnp.zeros((rows, 2)))
    state = agent.init(jax.random.key(0), Timestep(obs, ~no, jnp.zeros(rows), no, no, no, obs, {}))
    start = np.random.default_rng(5).normal(size=state.values.shape).astype(np.float32)
    return contracts.quick(agent.learn), state._replace(values=jnp.asarray(start)), start


def rollout(*rows):
    """Rollout [T, N] of streams."""
    obs, action, reward, ending, reached, first = (
        np.stack([np.array([step[i] for step in row]) for row in rows], 1) for i in range(6)
    )
    f, valid = np.float32, np.ones_like(first)
    steps = Transition(
        Observation(obs.astype(f)), first, action, reward.astype(f), ending == "terminated", ending == "truncated",
        valid, Observation(reached.astype(f)), (),
    )  # fmt: skip
    return Rollout(jax.tree.map(jnp.asarray, steps), ())


@pytest.mark.parametrize("true_online", [False, True])
def test_it_is_the_textbook_loop(true_online):
    """Every weight, over endings of both kinds; where a rollout is cut changes nothing."""
    learn, state, start = learner(true_online=true_online)
    steps = stream(0)
    values = learn(state, jax.random.key(0), rollout(steps))[0].values
    np.testing.assert_allclose(values, by_hand(steps, start, true_online), atol=2e-4)
    assert np.abs(values - by_hand(steps, start, not true_online)).max() > 0.05
    half = learn(state, jax.random.key(0), rollout(steps[:23]))[0]
    again = learn(half, jax.random.key(0), rollout(steps[23:]))[0]
    np.testing.assert_allclose(again.values, values, atol=1e-5)


@pytest.mark.parametrize("true_online", [False, True])
def test_rows_that_do_the_same_are_one_row(true_online):
    """Three rows with one stream move every tile by the mean of their errors, which is the error of each."""
    steps = stream(1)
    (learn, state, _), (learn_many, many, _) = (learner(rows, true_online=true_online) for rows in (1, 3))
    alone = learn(state, jax.random.key(0), rollout(steps))[0].values
    together = learn_many(many, jax.random.key(0), rollout(steps, steps, steps))[0].values
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_step_falls_to_nothing():
    """Of 4 updates: the third moves a value half as far as the first, one behind the last not at all."""
    learn, state, start = learner(total_updates=4.0, trace_decay=0.0)
    steps = rollout(stream(2, 3))
    moved = []
    for updates in (0, 2, 4):
        after = learn(state._replace(updates=jnp.int32(updates)), jax.random.key(0), steps)[0]
        moved.append(np.abs(np.asarray(after.values) - start).max())
    assert moved[2] == 0 and moved[1] < moved[0]
    one = rollout(stream(2, 2))
    first, half = (
        learn(state._replace(updates=jnp.int32(updates)), jax.random.key(0), one)[0].values - start
        for updates in (0, 2)
    )
    np.testing.assert_allclose(first, 2 * half, atol=1e-6)


@pytest.mark.parametrize("true_online", [False, True])
def test_it_reaches_the_values_of_its_policy(true_online):
    """Q of the uniform policy of a random world, each of whose states has a tile of its own, is exact to 0.15.

    The control, endings ignored, is off by more than 0.5.
    """
    env = envs.make("random_mdp", seed=2, num_states=5)
    one_hot, model = transforms.one_hot(env), env.model(env.params)
    config = agents.default_config("linear_sarsa")._replace(
        tiles=1, tilings=1, discount=0.9, epsilon=1.0, trace_decay=0.5, learning_rate=0.1, total_updates=400.0,
        true_online=true_online,
    )  # fmt: skip
    agent = agents.make("linear_sarsa", one_hot, config=config)
    worth = exact.policy_value(model, np.full((5, 3), 1 / 3), discount=0.9)
    goes_on = np.asarray(model.probability) * ~np.asarray(model.terminated)
    right = (np.asarray(model.probability) * model.reward + 0.9 * goes_on * worth[model.next_state]).sum(-1)

    def endless(state, key, rollout):
        steps = rollout.steps._replace(terminated=jnp.zeros_like(rollout.steps.terminated))
        return agent.learn(state, key, rollout._replace(steps=steps))

    def error(agent):
        trainer = loop.make_trainer(agent, vectorize(one_hot, 16), 50)
        values = contracts.quick(lambda key: loop.train(trainer, 400)(key)[0].agent.values)(jax.random.key(0))
        return np.abs(np.asarray(values)[2 ** np.arange(5)] - right).max()

    assert error(agent) < 0.15
    if not true_online:
        assert error(agent._replace(learn=endless)) > 0.5


def test_the_mountain_car():
    """After 10,000 steps the greedy policies of 8 seeds reach -164; the control, which learns nothing, stays at -200.

    Over 64 seeds it is -146.5 with a deviation of 12.3: the bar is 4 deviations of the mean of 8 seeds lower.
    """
    env = envs.make("mountain_car")
    scores = []
    for rate in (1.4, 0.0):
        config = agents.default_config("linear_sarsa")._replace(
            learning_rate=rate, discount=1.0, epsilon=0.0, total_updates=1000.0
        )
        agent = agents.make("linear_sarsa", env, config=config)
        trainer, play = loop.make_trainer(agent, vectorize(env, 1), 10), evaluate(agent, env, 20)

        def score(key, trainer=trainer, play=play):
            return play(jax.random.key(99), loop.train(trainer, 1000)(key)[0].agent).returns.mean()

        scores.append(np.asarray(jax.jit(jax.vmap(score))(jax.vmap(jax.random.key)(jnp.arange(8)))))
    assert scores[0].mean() > -164 and (scores[1] == -200).all()


@pytest.mark.parametrize(
    ("observation_space", "action_space", "message"),
    [
        (Discrete(4), Discrete(2), "needs a Box to observe and Discrete actions"),
        (SPACE, SPACE, "needs a Box to observe and Discrete actions"),
        (Box(-np.inf, 1.0, (2,)), Discrete(2), "expected finite bounds"),
        (Box(-1.0, 1.0, (6,)), Discrete(3), "25509168 values: expected at most 10000000.*take fewer tiles"),
    ],
)
def test_spaces_that_cannot_be_tiled_are_refused(observation_space, action_space, message):
    with pytest.raises(UsageError, match=message):
        linear_sarsa(observation_space, action_space)
