"""Hindsight: every goal that is dealt was achieved in the same episode, and earns what the world gives under it."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from scipy import stats

from jaxrl import envs, transforms
from jaxrl.buffers.hindsight import STRATEGIES, hindsight
from jaxrl.errors import UsageError
from jaxrl.types import Observation, Rollout, Transition
from jaxrl.vectorize import vectorize

LENGTHS = np.array([[4, 1, 3, 5], [2, 5, 1, 3], [5, 5, 4, 1]])  # of the episodes of each of three rows, over and over
MAX_STEPS, NUM_ROWS, T = 5, 3, 4
DISCOUNT = 0.5


def judge(achieved, goal):
    """Of one step: 10 for the goal, else how far it is (the sum of both numbers); at the goal it ends."""
    found = jnp.all(achieved == goal)
    return jnp.where(found, 10.0, -jnp.abs(achieved - goal).sum()), found


def history(num_steps):
    """Per row and time: (start of the episode, its last step, whether that step is terminated, else truncated)."""
    table = np.zeros((num_steps, NUM_ROWS, 3), int)
    for row in range(NUM_ROWS):
        begin = 0
        for i in range(num_steps):
            end = begin + LENGTHS[row, i % LENGTHS.shape[1]]
            table[begin:end, row] = begin, end - 1, i % 2
            begin = end
            if begin >= num_steps:
                break
    return table


EPISODES = history(400)


def rollout(begin, length=T):
    """Achieved after the step at time t of a row: (row, t + 1); before an episode's first step: (row, -t)."""
    time, row = np.meshgrid(begin + np.arange(length), np.arange(NUM_ROWS), indexing="ij")
    start, last, kind = np.moveaxis(EPISODES[begin : begin + length], -1, 0)

    def observed(t, seen):
        pair = jnp.asarray(np.stack([row, seen], -1), jnp.float32)
        return Observation(
            jnp.asarray(np.stack([row, t], -1), jnp.float32),
            goal=jnp.asarray(np.stack([row, 1000 + start], -1), jnp.float32), achieved=pair,
        )  # fmt: skip

    steps = Transition(
        observed(time, np.where(time == start, -time, time)), jnp.asarray(time == start),
        jnp.asarray(time % 7, jnp.int32), jnp.asarray(time, jnp.float32), jnp.asarray((time == last) & (kind == 1)),
        jnp.asarray((time == last) & (kind == 0)), jnp.ones(time.shape, bool), observed(time + 1, time + 1), (),
    )  # fmt: skip
    return Rollout(steps, ())


def filled(num_rollouts, batch=400, slots=20, **options):
    buffer = hindsight(slots * NUM_ROWS, batch, judge, MAX_STEPS, min_size=12, **options)
    state, add = buffer.init(rollout(0, 1)), contracts.quick(buffer.add)
    for i in range(num_rollouts):
        state = add(state, rollout(T * i))
    return buffer, state


def options_of(strategy, time, row, oldest, written):
    """The times at which the goals were achieved that a step may get."""
    begin, last, _ = EPISODES[time, row]
    last = min(last, written - 1)
    spans = {"future": (time, last), "final": (last, last), "episode": (max(begin, oldest), last)}
    return set(range(spans[strategy][0], spans[strategy][1] + 1))


def expected_of(row, time, goal, num_steps, written):
    """(reward, discount, time of the last step) of n-step experience from these times, under these goals."""
    own, reward, discount = goal >= 1000, np.zeros(time.size), np.ones(time.size)
    end, running, terminated = time.copy(), np.ones(time.size, bool), np.zeros(time.size, bool)
    for k in range(num_steps):
        t = np.where(running, time + k, end)
        _, last, kind = np.moveaxis(EPISODES[t, row], -1, 0)
        found = ~own & (t + 1 == goal)
        earned = np.where(own, t, np.where(found, 10, -np.abs(t + 1 - goal)))
        reward += running * discount * earned
        discount = np.where(running, discount * DISCOUNT, discount)
        end, terminated = t, np.where(running, found | ((t == last) & (kind == 1)), terminated)
        running = running & ~terminated & (t < last) & (t < written - 1)
    return reward, np.where(terminated, 0, discount), end


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("num_rollouts", "num_steps"), [(1, 1), (4, 3), (5, 1), (6, 3), (13, 1), (47, 3)])
def test_every_goal_was_achieved_in_the_same_episode(strategy, num_rollouts, num_steps):
    """By brute force, before, at and after the wrap, for episodes that ended and that still run."""
    buffer, state = filled(num_rollouts, batch=8000, strategy=strategy, num_steps=num_steps)
    written = num_rollouts * T
    oldest = max(0, written - 20)
    items = jax.tree.map(np.asarray, contracts.quick(buffer.sample)(state, jax.random.key(0), DISCOUNT).items)
    row, time = items.obs.features.astype(int).T
    goal = items.obs.goal[:, 1].astype(int)
    for obs in (items.obs, items.next_obs):
        np.testing.assert_array_equal(obs.goal, np.stack([row, goal], -1))
    reward, discount, end = expected_of(row, time, goal, num_steps, written)
    np.testing.assert_allclose(items.reward, reward)
    np.testing.assert_array_equal(items.discount, discount)
    for reached in (items.next_obs.achieved, items.next_obs.features):
        np.testing.assert_array_equal(reached, np.stack([row, end + 1], -1))
    assert (items.action == time % 7).all() and items.valid.all()
    seen = {}
    for r, t, g in zip(row, time, goal, strict=True):
        seen.setdefault((r, t), set()).add(g)
    assert set(seen) == {(r, t) for r in range(NUM_ROWS) for t in range(oldest, written)}
    for (r, t), goals in seen.items():
        others = {other + 1 for other in options_of(strategy, t, r, oldest, written)}
        assert goals == others | {1000 + EPISODES[t, r][0]}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_goals_are_uniform_over_the_steps_they_come_from(strategy):
    """200,000 draws: given the step, each of its goals as often, chi-square over all steps p > 0.001 (fixed key)."""
    buffer, state = filled(13, batch=200_000, strategy=strategy, relabelled=1.0)
    items = contracts.quick(buffer.sample)(state, jax.random.key(3), DISCOUNT).items
    time, goal = (np.asarray(x)[:, 1].astype(int) for x in (items.obs.features, items.obs.goal))
    row, statistic, freedom = np.asarray(items.obs.features)[:, 0].astype(int), 0.0, 0
    for r, t in {(r, t) for r in range(NUM_ROWS) for t in range(32, 52)}:
        options = sorted(options_of(strategy, t, r, 32, 52))
        counts = [np.sum((row == r) & (time == t) & (goal == option + 1)) for option in options]
        assert sum(counts) == np.sum((row == r) & (time == t)) > 2500
        statistic, freedom = statistic + stats.chisquare(counts).statistic, freedom + len(options) - 1
    assert freedom == 0 if strategy == "final" else stats.chi2.sf(statistic, freedom) > 0.001


@pytest.mark.parametrize(("share", "batch"), [(0.0, 7), (0.8, 5), (0.8, 4), (0.25, 3), (1.0, 6)])
def test_the_share_is_what_was_asked_for(share, batch):
    """Exact in each batch up to the fraction of a transition, and on average to 4 standard errors of that fraction."""
    buffer, state = filled(5, batch=batch, relabelled=share)
    draws = contracts.quick(jax.vmap(lambda key: buffer.sample(state, key, DISCOUNT).items.obs.goal))
    counts = np.sum(np.asarray(draws(jax.random.split(jax.random.key(0), 4000)))[..., 1] < 1000, -1)
    exact = np.float32(share) * batch
    assert set(counts) == {np.floor(exact), np.ceil(exact)}
    assert abs(counts.mean() - exact) <= 4 * 0.5 / np.sqrt(4000)


@pytest.mark.parametrize("name", ["bit_flipping", "goal_grid"])
@pytest.mark.parametrize("change", [lambda env: env, lambda env: transforms.scale_reward(env, 3.0)])
def test_worlds_judge_in_hindsight_as_they_do_in_the_step(name, change):
    """Under its own goal, every step of a random walk earns and ends as the world said."""
    options = (
        {"num_bits": 3} if name == "bit_flipping" else {"layout": "../..", "step_reward": -0.5, "goal_reward": 2.0}
    )
    env = change(envs.make(name, **options))
    venv = vectorize(env, 64)
    state, timestep = venv.reset(jax.random.key(0), ())
    found = 0
    step = contracts.quick(venv.step)
    for i in range(10):
        action = jax.random.randint(jax.random.key(i), (64,), 0, env.action_space.n)
        goal = timestep.obs.goal
        state, timestep = step(jax.random.key(100 + i), state, action, ())
        reward, terminated = jax.vmap(env.hindsight)(timestep.final_obs.achieved, goal)
        np.testing.assert_array_equal(reward, timestep.reward)
        np.testing.assert_array_equal(terminated, timestep.terminated)
        found += int(terminated.sum())
    assert 20 < found < 640


def test_a_changed_reward_has_no_old_judge():
    env = envs.make("goal_grid")
    for changed in (
        transforms.shape_reward(env, lambda state, params: jnp.float32(0), 0.9),
        transforms.endless(env), transforms.action_repeat(env, 2),
    ):  # fmt: skip
        assert env.hindsight is not None and changed.hindsight is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sampling_uses_each_key_once_and_stays_in_the_ring(strategy):
    buffer, state = filled(6, strategy=strategy, num_steps=2)
    contracts.checks_keys(buffer.sample, state, jax.random.key(0), 0.9)
    checked = contracts.quick(checkify.checkify(buffer.sample, errors=checkify.index_checks))
    checked(state, jax.random.key(0), 0.9)[0].throw()
    assert bool(buffer.ready(state))
    contracts.assert_equal(buffer.update(state, jnp.zeros(400, int), jnp.ones(400)), state)


def test_what_cannot_work_is_refused():
    with pytest.raises(UsageError, match="no goals to replace"):
        hindsight(60, 4, None, 5)
    with pytest.raises(UsageError, match="give the environment max_steps"):
        hindsight(60, 4, judge, None)
    with pytest.raises(UsageError, match="did you mean future"):
        hindsight(60, 4, judge, 5, strategy="futur")
    with pytest.raises(UsageError, match="relabelled is 1.5"):
        hindsight(60, 4, judge, 5, relabelled=1.5)
    without = rollout(0, 1)
    steps = without.steps._replace(obs=without.steps.obs._replace(achieved=None))
    with pytest.raises(UsageError, match="tell goal and achieved"):
        hindsight(60, 4, judge, 5).init(Rollout(steps, ()))
