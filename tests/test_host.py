"""Environments on the host: one stream of timesteps out of every auto-reset mode, the same training as on device."""

from collections import Counter

import contracts
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pettingzoo
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from jaxrl import agents, envs, export, host, loop, networks, spaces
from jaxrl.agents import ppo
from jaxrl.agents.tabular import q_learning
from jaxrl.errors import UsageError
from jaxrl.host_parallel import pettingzoo_rows
from jaxrl.host_rows import gymnasium_rows
from jaxrl.host_spaces import from_space
from jaxrl.policy import Policy
from jaxrl.types import Rollout, Transition
from jaxrl.vectorize import vectorize

MODES = list(AutoresetMode)
SMALL = networks.Settings(hidden=(8,))


class Bars(gymnasium.Env):
    """Bars of 1 to 6 steps: odd ones terminate, even ones are truncated. It shows (episode, length, step, legal)."""

    observation_space, action_space = Box(-1, 1e6, (3,), np.float64), Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.length, self.time = self.np_random.integers(1000), self.np_random.integers(1, 7), 0
        return self.shown()

    def shown(self):
        mask = np.array([1, self.time % 2, (self.time + 1) % 2], np.int8)
        obs = np.array([self.episode, self.length, self.time], float)
        return obs, {"action_mask": mask, "share": self.time / self.length}

    def step(self, action):
        self.time += 1
        obs, info = self.shown()
        over, odd = self.time == self.length, bool(self.length % 2)
        return obs, self.time + 0.1 * float(action), over and odd, over and not odd, info


def vector(mode, make=Bars, num_envs=3):
    return SyncVectorEnv([make] * num_envs, autoreset_mode=mode, copy=False)


def play(rows, num_steps, seed=0):
    """[(timestep before, action, timestep after)] of actions that depend on what is shown alone."""
    before, taken = rows.reset(seed), []
    for _ in range(num_steps):
        action = (before.obs.features.sum(-1).astype(np.int64) % 2).astype(np.int32)
        after = rows.step(action)
        taken.append((before, action, after))
        before = after
    return taken


def transitions(taken, row):
    """What is valid of a row's transitions, as values that can be counted, in order."""
    return [
        (before.obs.features[row].tobytes(), before.obs.legal[row].tobytes(), bool(before.first[row]), int(action[row]),
         float(after.reward[row]), bool(after.terminated[row]), bool(after.truncated[row]),
         after.final_obs.features[row].tobytes(), after.final_obs.legal[row].tobytes(),
         *(float(after.info[name][row]) for name in ("episode_return", "episode_length", "share")))
        for before, action, after in taken if after.valid[row]
    ]  # fmt: skip


def by_hand(seed, num_transitions):
    """The same of one environment, stepped without any vector."""
    env, taken = Bars(), []
    (obs, info), first, total, length = env.reset(seed=seed), True, 0.0, 0
    while len(taken) < num_transitions:
        action = int(obs.sum()) % 2
        after, reward, terminated, truncated, after_info = env.step(action)
        total, length, single = total + float(np.float32(reward)), length + 1, np.float32
        taken.append(
            (obs.astype(single).tobytes(), info["action_mask"].astype(bool).tobytes(), first, action,
             float(single(reward)), terminated, truncated, after.astype(single).tobytes(),
             after_info["action_mask"].astype(bool).tobytes(), float(single(total)), float(length),
             float(single(after_info["share"])))
        )  # fmt: skip
        obs, info, first = after, after_info, False
        if terminated or truncated:
            (obs, info), first, total, length = env.reset(), True, 0.0, 0
    return taken


# --- Gymnasium -----------------------------------------------------------------------------------------------------


def test_all_auto_reset_modes_give_the_transitions_of_the_environment():
    """200 of each row: the same multiset, and it is what stepping by hand gives."""
    count, found = 200, {}
    for mode in MODES:
        taken = play(gymnasium_rows(vector(mode), measures=["share"]), 320)
        valid = np.stack([after.valid for *_, after in taken])
        assert valid.all() == (mode is not AutoresetMode.NEXT_STEP)
        found[mode] = [transitions(taken, row)[:count] for row in range(3)]
        if mode is AutoresetMode.NEXT_STEP:
            ended = np.stack([after.terminated | after.truncated for *_, after in taken])
            np.testing.assert_array_equal(~valid[1:], ended[:-1])
            assert all(not after.reward[~after.valid].any() for *_, after in taken)
    expected = [by_hand(row, count) for row in range(3)]
    for rows in found.values():
        assert [len(row) for row in rows] == [count] * 3
        assert Counter(sum(rows, [])) == Counter(sum(expected, []))
        assert rows == expected  # and in order
    ends = [each[5:7] for each in sum(expected, [])]
    assert min(Counter(ends).values()) > 50 and set(ends) == {(False, False), (True, False), (False, True)}


@pytest.mark.parametrize("mode", MODES)
def test_first_marks_what_opens_an_episode(mode):
    taken = play(gymnasium_rows(vector(mode)), 60)
    for before, _, after in taken:
        for row in range(3):
            assert after.first[row] == (after.obs.features[row, 2] == 0)
            ended = after.terminated[row] | after.truncated[row]
            if after.valid[row]:
                assert after.final_obs.features[row, 2] == before.obs.features[row, 2] + 1
                assert ended == (after.final_obs.features[row, 2] == after.final_obs.features[row, 1])


def test_a_device_vector_through_gymnasium_gives_the_rollout_of_the_device():
    """The ring, 8 rows, 12 steps: bit for bit what `vectorize` emits for the same keys."""
    world = envs.make("ring")
    agent = agents.make("random", world)
    made = export.to_gymnasium_vector(world, 8)
    rows, venv = gymnasium_rows(made), vectorize(world, 8)
    timestep = rows.reset(3)
    key = jax.random.key(int(np.random.Generator(np.random.PCG64(3)).integers(2**31)))
    key, reset_key = jax.random.split(key)
    state, expected = jax.jit(venv.reset)(reset_key, ())
    step, ends = jax.jit(venv.step), 0
    for _ in range(12):
        contracts.assert_equal(timestep, jax.tree.map(np.asarray, expected))
        action, _, _ = agent.act((), jax.random.key(0), (), expected)
        key, step_key = jax.random.split(key)
        state, expected = step(step_key, state, action, ())
        timestep = rows.step(np.asarray(action))
        ends += int(timestep.truncated.sum())
    assert ends == 8 * 4


def wrong_modes():
    none = vector(AutoresetMode.SAME_STEP)
    none.metadata = {}
    return none


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_modes, "the environments declare autoreset_mode None: expected metadata"),
        (Bars, "Bars cannot be stepped as rows: expected a gymnasium.vector.VectorEnv"),
        (list, "list cannot be stepped as rows"),
    ],
)
def test_what_is_no_rows_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        host.rows(make())


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0, 1, 3], "action 3 at [2] is out of range: expected 0 to 2"),
        ([0, -1, 0], "action -1 at [1] is out of range: expected 0 to 2"),
        ([0, 1], "action [0, 1] is int64 of shape (2,): expected integers of shape (3,)"),
        ([0.0, 1.0, 2.0], "action [0.0, 1.0, 2.0] is float64 of shape (3,): expected integers of shape (3,)"),
        ([[0], [1], [2]], "action [[0], [1], [2]] is int64 of shape (3, 1): expected integers of shape (3,)"),
    ],
)
def test_bad_actions_are_refused(action, message):
    rows = gymnasium_rows(vector(AutoresetMode.NEXT_STEP))
    with pytest.raises(UsageError, match="no episode is running: call reset"):
        rows.step(np.zeros(3, int))
    rows.reset(0)
    with pytest.raises(UsageError) as error:
        rows.step(action)
    assert str(error.value) == message


def test_spaces_of_gymnasium_are_read():
    assert from_space(Discrete(4)) == spaces.Discrete(4)
    assert from_space(MultiBinary(3)) == spaces.MultiDiscrete((2, 2, 2))
    assert from_space(MultiDiscrete([2, 5])) == spaces.MultiDiscrete((2, 5))
    assert from_space(Box(0, 255, (2, 2), np.uint8)) == spaces.Box(0, 255, (2, 2), np.uint8)
    assert from_space(Box(-np.inf, np.inf, (2,), np.float64)) == spaces.Box(-np.inf, np.inf, (2,))
    assert from_space(Box(np.array([0, -1], np.int64), 2**40, dtype=np.int64)).low == (0, -1)
    nested = from_space(Dict(a=Discrete(2), b=Tuple([Box(-1, 1, ())])))
    assert nested == {"a": spaces.Discrete(2), "b": (spaces.Box(-1.0, 1.0, ()),)}
    for unknown in (Discrete(3, start=1), Graph(Box(-1, 1, (2,)), None), MultiDiscrete([[2, 2]])):
        with pytest.raises(UsageError, match="expected Box, Discrete, MultiDiscrete or MultiBinary"):
            from_space(unknown)


class Reach(gymnasium.Env):
    """A goal-conditioned environment of one step."""

    observation_space = Dict(
        observation=Box(-1, 1, (2,)), desired_goal=Box(-1, 1, (1,)), achieved_goal=Box(-1, 1, (1,))
    )
    action_space = Box(-0.5, 0.5, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown(np.zeros(1, np.float32)), {}

    def shown(self, at):
        return {"observation": np.repeat(at, 2), "desired_goal": self.goal, "achieved_goal": at}

    def step(self, action):
        assert action.dtype == np.float32 and abs(action[0]) <= 0.5
        return self.shown(action), -abs(float(action[0] - self.goal[0])), True, False, {}


@pytest.mark.parametrize("mode", MODES)
def test_goals_are_read_and_continuous_actions_kept_in_their_bounds(mode):
    rows = gymnasium_rows(vector(mode, Reach))
    before = rows.reset(0)
    after = rows.step(np.full((3, 1), 7.0, np.float32))
    assert before.obs.goal.shape == (3, 1) and rows.observation_space == spaces.Box(-1.0, 1.0, (2,))
    np.testing.assert_array_equal(after.final_obs.achieved, np.full((3, 1), 0.5, np.float32))
    np.testing.assert_array_equal(after.final_obs.goal, before.obs.goal)
    np.testing.assert_allclose(after.reward, -np.abs(0.5 - before.obs.goal[:, 0]), rtol=1e-6)
    assert after.terminated.all() and (after.obs.goal != before.obs.goal).all() == (mode is not AutoresetMode.NEXT_STEP)


# --- training ------------------------------------------------------------------------------------------------------


def gridworlds(num_envs=8):
    return export.to_gymnasium_vector(envs.make("gridworld", max_steps=20), num_envs)


@pytest.mark.parametrize("algorithm", ["ppo", "q_learning"])
def test_training_is_the_training_of_the_device(algorithm):
    """In a world without chance, three updates lead to the same agent and report the same episodes."""
    world = envs.make("gridworld", max_steps=20)
    adapted = agents.adapt(algorithm, world)
    trainer = loop.make_trainer(agents.make(algorithm, adapted, SMALL), vectorize(adapted, 8), 16)
    expected, metrics = jax.jit(loop.train(trainer, 3))(jax.random.key(2))
    state, found = host.train(
        host.make_agent(algorithm, gridworlds(), SMALL), gridworlds(), 16, 3, key=jax.random.key(2)
    )
    contracts.assert_close(state.agent, expected.agent, 1e-4)
    contracts.assert_equal(state.key, expected.key)
    assert int(state.updates) == 3
    for name in ("episode_return", "episode_length"):
        np.testing.assert_allclose(found[name].value(), metrics[name].value(), rtol=1e-6)
        np.testing.assert_array_equal(found[name].count, metrics[name].count)
    assert found["episode_return"].count.sum() > 8


@pytest.mark.parametrize("mode", MODES)
def test_values_learnt_through_every_mode_are_right(mode):
    """The chain of 3 rewards of 1, cut after 2 steps: V = 3, 2 only if what was reached is bootstrapped from."""
    make = lambda: export.to_gymnasium(index_chain())  # noqa: E731
    rows = gymnasium_rows(vector(mode, make, 2))
    config = q_learning.Config(learning_rate=1.0, discount=0.5, epsilon=0.0)
    agent = q_learning.q_learning(rows.observation_space, rows.action_space, config)
    state, _ = host.train(agent, rows, 4, 12)
    np.testing.assert_allclose(np.asarray(state.agent.values)[:4, 0], [1.875, 1.75, 1.5, 1.0], atol=1e-6)


def index_chain():
    """A chain of 4 steps of reward 1 that starts anywhere on it, is cut after 1 step, and shows the state's index."""
    world = envs.make("chain", length=4)

    def reset(key, params):
        state = jax.random.randint(key, (), 0, 4)
        return state, state

    def step(key, state, action, params):
        state, _, reward, terminated = world.step(key, state, action, params)
        return state, state, reward, terminated

    return world._replace(reset=reset, step=step, observation_space=spaces.Discrete(5), max_steps=1, model=None)


def test_ppo_learns_through_the_host_loop_and_without_a_learning_rate_does_not():
    """The masked walk, whose best return is 4. On device 64 of 64 seeds reach 3.97 so, and at most 3.25 without."""
    late, world = {}, envs.make("masked_walk")
    vector_env = export.to_gymnasium_vector(world, 8)
    agent = host.make_agent("ppo", vector_env, SMALL)
    trainer = host.make_trainer(agent, vector_env, 24)
    for learning_rate in (0.02, 0.0):
        start = trainer.init(jax.random.key(0))
        config = start.agent.config._replace(learning_rate=jnp.float32(learning_rate))  # traced: compiled once
        state, metrics = host.run(trainer, start._replace(agent=start.agent._replace(config=config)), 15)
        assert metrics["episode_return"].count.tolist() == [32] * 15
        late[learning_rate] = metrics["episode_return"].value()[-1]
        if learning_rate:
            policy = Policy(agent, host.stand_in(vector_env), lambda same: same, state.agent)
            env = export.to_gymnasium(world)
            (obs, info), total, over = env.reset(), 0.0, False
            while not over:
                obs, reward, over, _, info = env.step(policy(obs, info["action_mask"].astype(bool)))
                total += reward
            assert total == 4.0
    assert late[0.02] > 3.8 and late[0.0] < 3.5


def test_act_and_learn_are_traced_once_and_hooks_change_nothing():
    venv, seen = gridworlds(4), []
    plain = host.make_agent("q_learning", venv)
    counted = {name: contracts.Counted(getattr(plain, name)) for name in ("act", "learn", "init")}
    agent = plain._replace(**counted)
    trainer = host.make_trainer(agent, venv, 8)
    state, _ = trainer.step(trainer.init(jax.random.key(0)))
    once = {name: each.count for name, each in counted.items()}
    assert once == {"init": 1, "act": 2, "learn": 1}  # act also once for the shapes that it gives
    host.run(
        trainer,
        state,
        5,
        2,
        [lambda steps, state, metrics: seen.append((steps, metrics["episode_return"].count.shape))],
    )
    assert {name: each.count for name, each in counted.items()} == once
    assert seen == [(32 * 3, (2,)), (32 * 5, (2,)), (32 * 6, (1,))]
    with_hook, metrics = host.train(plain, gridworlds(4), 8, 4, [lambda *_: None])
    without, in_one = host.train(plain, gridworlds(4), 8, 4, chunk=4)
    contracts.assert_equal((with_hook.agent, metrics), (without.agent, in_one))
    assert metrics["episode_return"].total.shape == (4,)


def test_recurrent_and_masked_agents_train_on_the_host():
    """A GRU over the reset row of NEXT_STEP: its carry at the rollout's start is that of acting, legal actions only."""
    settings = networks.Settings((8,), cell="gru", cell_size=4)
    rows = gymnasium_rows(vector(AutoresetMode.NEXT_STEP))
    agent = host.make_agent("ppo", rows, settings, ppo.Config(chunk_length=4, num_minibatches=2))
    kept = []

    def learn(state, key, rollout):
        kept.append(jax.tree.map(jnp.shape, rollout))
        return agent.learn(state, key, rollout)

    legal = []
    watched = rows._replace(step=lambda action: legal.append(np.asarray(action)) or rows.step(action))
    state, metrics = host.train(agent._replace(learn=learn), watched, 8, 3)
    assert len(kept) == 1 and isinstance(kept[0], Rollout) and isinstance(kept[0].steps, Transition)
    assert kept[0].steps.obs.features == (8, 3, 3) and kept[0].carry == (3, 4) and kept[0].steps.obs.legal == (8, 3, 3)
    assert len(legal) == 24 and np.isfinite(metrics["policy_loss"].value()).all()
    assert state.carry.shape == (3, 4) and np.isfinite(np.asarray(state.carry)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rollout_length": 0, "num_updates": 1}, "rollout_length is 0: expected at least 1"),
        ({"rollout_length": 1, "num_updates": 0}, "num_updates is 0: expected at least 1"),
        ({"rollout_length": 1, "num_updates": 1, "chunk": 0}, "chunk is 0: expected at least 1"),
    ],
)
def test_impossible_trainings_are_refused(options, message):
    rows = gridworlds(2)
    with pytest.raises(UsageError, match=message):
        host.train(host.make_agent("random", rows), rows, **options)


# --- PettingZoo ----------------------------------------------------------------------------------------------------


class Crowd(pettingzoo.ParallelEnv):
    """Agent i stays for i + 1 steps (the last for 3, to a limit); it is shown (episode, i, step)."""

    metadata, possible_agents = {"name": "crowd"}, ["a", "b", "c"]

    def __init__(self, silent=False):
        self.silent, self.episode = silent, 0

    def observation_space(self, agent):
        return Dict(observation=Box(-1, 1e6, (3,)), action_mask=Box(0, 1, (2,), np.int8))

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.time, self.episode = list(self.possible_agents), 0, self.episode + 1
        return self.shown(), {agent: {} for agent in self.agents}

    def shown(self):
        mask = np.array([1, self.time % 2], np.int8)
        place = {agent: i for i, agent in enumerate(self.possible_agents)}
        return {
            agent: {"observation": np.array([self.episode, place[agent], self.time], np.float32), "action_mask": mask}
            for agent in self.agents
        }

    def step(self, actions):
        assert list(actions) == self.agents and all(action.dtype == np.int64 for action in actions.values())
        self.time += 1
        obs, reward = self.shown(), {agent: float(self.time) for agent in self.agents}
        over = {agent: self.possible_agents.index(agent) < self.time for agent in self.agents}
        cut = {agent: over[agent] and agent == "c" for agent in self.agents}
        gone = {agent: over[agent] and not cut[agent] for agent in self.agents}
        self.agents = [agent for agent in self.agents if not over[agent]]
        told = dict.fromkeys(gone, False) if self.silent else gone
        return obs, reward, told, cut, {agent: {} for agent in obs}


@pytest.mark.parametrize("silent", [False, True])
def test_agents_that_left_are_rows_that_are_not_valid(silent):
    """Two worlds of three agents: who is there, what is earned, when the world starts anew (also unannounced)."""
    rows = pettingzoo_rows([Crowd(silent), Crowd(silent)])
    assert (rows.num_rows, rows.num_envs) == (6, 2) and rows.observation_space.shape == (3,)
    before = rows.reset(0)
    assert before.first.all() and before.obs.legal[0].tolist() == [True, False]
    for t in range(9):
        after, time = rows.step(np.zeros(6, int)), t % 3
        there = np.array([time < 1, time < 2, True] * 2)
        leaves = np.array([time == 0, time == 1, False] * 2)
        np.testing.assert_array_equal(after.valid, there)
        np.testing.assert_array_equal(after.terminated, leaves | ~there)
        np.testing.assert_array_equal(after.truncated, np.array([False, False, time == 2] * 2))
        np.testing.assert_array_equal(after.reward, np.where(there, time + 1, 0))
        np.testing.assert_array_equal(after.first, np.full(6, time == 2))
        np.testing.assert_array_equal(after.final_obs.features[there][:, 2], np.full(there.sum(), time + 1))
        np.testing.assert_array_equal(after.obs.features[:, 0], np.full(6, 1 + t // 3 + (time == 2)))
        np.testing.assert_array_equal(after.info["episode_length"][there], np.full(there.sum(), time + 1))
        if time == 2:
            np.testing.assert_array_equal(after.info["episode_return"], [1.0, 3.0, 6.0] * 2)
            np.testing.assert_array_equal(after.obs.features[:, 2], np.zeros(6))


def test_a_world_through_pettingzoo_and_back_gives_the_steps_of_the_device():
    """Tic-tac-toe of random legal moves, with masks from info: rewards, ends and views as `vectorize` has them."""
    world = envs.make("tic_tac_toe")
    rows, venv = pettingzoo_rows(export.to_pettingzoo(world)), vectorize(world, 1)
    timestep = rows.reset(0)
    state, expected = jax.jit(venv.reset)(jax.random.key(0), world.params)
    step, generator, ends = jax.jit(venv.step), np.random.default_rng(0), 0
    for _ in range(30):
        squeezed = jax.tree.map(lambda x: np.asarray(x)[0], expected)
        for name in ("reward", "terminated", "valid", "first"):
            np.testing.assert_array_equal(getattr(timestep, name), getattr(squeezed, name))
        contracts.assert_equal(timestep.obs.features, squeezed.obs.features)
        contracts.assert_equal(timestep.obs.legal, squeezed.obs.legal)
        contracts.assert_equal(timestep.final_obs.features, squeezed.final_obs.features)
        action = np.array([generator.choice(np.flatnonzero(legal)) for legal in timestep.obs.legal])
        state, expected = step(jax.random.key(1), state, jnp.asarray(action)[None], world.params)
        timestep = rows.step(action)
        ends += int(timestep.first.all())
    assert ends >= 3


def test_ppo_trains_on_parallel_worlds():
    worlds = [Crowd(), Crowd()]
    agent = host.make_agent("ppo", worlds, SMALL, ppo.Config(num_minibatches=2))
    state, metrics = host.train(agent, worlds, 6, 3)
    assert np.isfinite(metrics["value_loss"].value()).all() and int(state.updates) == 3
    np.testing.assert_array_equal(metrics["episode_length"].value(), [2.0, 2.0, 2.0])  # of 1, 2 and 3
    np.testing.assert_array_equal(metrics["episode_length"].count, [12, 12, 12])


def test_agents_of_several_kinds_are_refused():
    world = Crowd()
    world.action_space = lambda agent: Discrete(2 if agent == "a" else 3)
    with pytest.raises(UsageError, match="the agents have spaces of several kinds"):
        host.rows(world)
