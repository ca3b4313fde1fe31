"""Our worlds in Gymnasium and PettingZoo: their own checkers, the same steps, ends and seeds, one-line refusals."""

import subprocess
import sys
import warnings

import contracts
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from pettingzoo.test import parallel_api_test, parallel_seed_test

from jaxrl import envs, export
from jaxrl.errors import UsageError
from jaxrl.for_gymnasium import to_space
from jaxrl.spaces import Box, Discrete, MultiDiscrete
from jaxrl.types import Environment, Observation
from jaxrl.vectorize import vectorize


def leavers(num_agents=3, max_steps=None):
    """Agents with 1 to 5 pebbles each who may put one down a step, and leave without any; reward 1 per pebble."""

    def shown(state):
        return jnp.stack([state, jnp.full(num_agents, state.sum())], -1).astype(jnp.float32)

    def reset(key, params):
        state = jax.random.randint(key, (num_agents,), 1, 6)
        return state, shown(state)

    def step(key, state, action, params):
        after = jnp.maximum(state - action, 0)
        return after, shown(after), (state - after).astype(jnp.float32), after == 0

    return Environment(
        reset, step, Box(0.0, 100.0, (2,)), Discrete(2), num_agents=num_agents, max_steps=max_steps,
        legal_actions=lambda state, params: jnp.stack([state >= 0, state > 0], -1),
        measure=lambda state, params: {"pebbles": state.sum().astype(jnp.float32)},
    )  # fmt: skip


def goal_line(length=4):
    """Walk along a line to a goal; features, goal and achieved are cells."""

    def shown(state):
        cell, goal = (state[i].astype(jnp.float32)[None] for i in (0, 1))
        return Observation(cell, goal=goal, achieved=cell)

    def reset(key, params):
        state = jnp.stack([jnp.int32(0), jax.random.randint(key, (), 1, length)])
        return state, shown(state)

    def step(key, state, action, params):
        state = state.at[0].set(jnp.clip(state[0] + 2 * action - 1, 0, length - 1))
        return state, shown(state), jnp.float32(-1), state[0] == state[1]

    return Environment(reset, step, Box(0.0, float(length - 1), (1,)), Discrete(2), max_steps=20)


# --- registration --------------------------------------------------------------------------------------------------


def test_every_world_of_one_agent_is_registered_and_no_other():
    ids = export.gymnasium_ids()
    assert set(ids.values()) == {name for name in envs.names() if contracts.world(name).num_agents is None}
    assert {"jaxrl/GridWorld-v0", "jaxrl/CartPole-v0", "jaxrl/FrozenLake-v0", "jaxrl/RandomMDP-v0"} <= set(ids)
    assert set(ids) <= set(gymnasium.registry)
    assert not [name for name in gymnasium.registry if name.startswith("jaxrl/") and name not in ids]


@pytest.mark.parametrize("imports", ["import gymnasium, jaxrl", "import jaxrl; before(); import gymnasium"])
def test_gymnasium_knows_them_whichever_is_imported_first(imports):
    script = f"""if True:
        import sys
        def before():
            assert not {{"gymnasium", "jax"}} & set(sys.modules)
        {imports}
        assert "pettingzoo" not in sys.modules and "jaxrl.for_gymnasium" not in sys.modules
        print(gymnasium.spec("jaxrl/GridWorld-v0").entry_point)
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "jaxrl.for_gymnasium:make\n"


def test_made_by_name_with_options():
    env = gymnasium.make("jaxrl/GridWorld-v0", layout="SG", max_steps=3, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.step(1)[:4] == (1, 10.0, True, False)
    vector = gymnasium.make_vec("jaxrl/GridWorld-v0", num_envs=3, layout="SG")
    assert vector.num_envs == 3 and vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    with pytest.raises(UsageError, match="unknown option of gridworld 'layuot': did you mean layout?"):
        gymnasium.make("jaxrl/GridWorld-v0", layuot="SG")


def test_copies_share_their_programs():
    first, second = (gymnasium.make("jaxrl/GridWorld-v0", layout="SG.").unwrapped for _ in range(2))
    assert first.programs is second.programs
    assert gymnasium.make("jaxrl/GridWorld-v0", layout="S.G").unwrapped.programs is not first.programs


# --- one environment -----------------------------------------------------------------------------------------------

CHECKED = ["GridWorld", "FrozenLake", "TMaze", "MaskedWalk", "Quadratic", "MultiDiscrete", "Chain", "Catch"]


@pytest.mark.parametrize("name", CHECKED)
def test_gymnasiums_checker_passes_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(f"jaxrl/{name}-v0").unwrapped)


def test_goals_are_shown_as_in_gymnasium_robotics():
    env = export.to_gymnasium(goal_line())
    check_env(env, skip_render_check=True)
    obs, _ = env.reset(seed=1)
    assert set(obs) == {"observation", "desired_goal", "achieved_goal"} and obs["desired_goal"][0] >= 1
    assert env.observation_space["desired_goal"] == gymnasium.spaces.Box(0.0, 3.0, (1,))
    assert env.step(1)[0]["achieved_goal"] == 1.0


@pytest.mark.parametrize("name", ["gridworld", "random_mdp", "random_start"])
def test_episodes_are_those_of_the_environment(name):
    """Started from the same key, it shows what reset and step give, and reset without a seed goes on from there."""
    world = contracts.world(name)
    env, reset, step = export.to_gymnasium(world), jax.jit(world.reset), jax.jit(world.step)
    obs, _ = env.reset(seed=5)
    key, episodes = jax.random.key(int(np.random.Generator(np.random.PCG64(5)).integers(2**31))), 0
    generator = np.random.default_rng(0)
    key, reset_key = jax.random.split(key)
    state, expected = reset(reset_key, world.params)
    for _ in range(60):
        np.testing.assert_array_equal(obs, expected)
        action = generator.integers(world.action_space.n)
        key, step_key = jax.random.split(key)
        state, expected, reward, terminated = step(step_key, state, jnp.int32(action), world.params)
        obs, got, ended, truncated, _ = env.step(action)
        assert (got, ended) == (float(reward), bool(terminated))
        if ended or truncated:
            np.testing.assert_array_equal(obs, expected)
            (obs, _), episodes = env.reset(), episodes + 1
            key, reset_key = jax.random.split(key)
            state, expected = reset(reset_key, world.params)
    assert episodes >= (name != "gridworld")


def test_limits_truncate_and_ends_terminate():
    """A chain of 3: its end is a termination, with a limit of 2 a truncation, with one of 3 both."""
    for limit, expected in ((None, [(0, 0), (0, 0), (1, 0)]), (2, [(0, 0), (0, 1)]), (3, [(0, 0), (0, 0), (1, 1)])):
        env = export.to_gymnasium(envs.make("chain", max_steps=limit))
        for _ in range(2):
            env.reset()
            assert [env.step(0)[2:4] for _ in expected] == expected
            with pytest.raises(UsageError, match="no episode is running: call reset"):
                env.step(0)


def test_seeds_decide_the_starts():
    env, other = (export.to_gymnasium(envs.make("random_start")) for _ in range(2))
    starts = [env.reset(seed=3)[0], env.reset()[0], env.reset(seed=4)[0], other.reset()[0]]
    np.testing.assert_array_equal(other.reset(seed=3)[0], starts[0])
    np.testing.assert_array_equal(other.reset()[0], starts[1])
    assert len({start.tobytes() for start in starts}) == 4


def test_masks_measures_and_pictures():
    env = export.to_gymnasium(envs.make("masked_walk"))
    _, info = env.reset()
    for legal in ([1, 1], [1, 0], [0, 1], [1, 1]):
        assert info["action_mask"].tolist() == legal and info["action_mask"].dtype == np.int8
        assert env.get_valid_actions() == np.flatnonzero(legal).tolist()
        info = env.step(0)[4]
    assert info["step"] == 4.0
    env = export.to_gymnasium(envs.make("gridworld"), render_mode="rgb_array")
    env.reset()
    before = env.render()
    env.step(1)
    assert before.dtype == np.uint8 and before.ndim == 3 and (env.render() != before).any()
    assert export.to_gymnasium(envs.make("gridworld")).render() is None
    with pytest.raises(UsageError, match="render_mode is 'human': expected None or 'rgb_array'"):
        export.to_gymnasium(envs.make("gridworld"), render_mode="human")
    with pytest.raises(UsageError, match="render_mode is 'rgb_array': expected None: this environment cannot be drawn"):
        export.to_gymnasium(envs.make("chain"), render_mode="rgb_array")


def test_gridworld_answers_which_actions_are_valid_and_what_they_mean():
    env = gymnasium.make("jaxrl/GridWorld-v0").unwrapped
    env.reset()
    assert env.get_valid_actions() == [1, 2]  # in the corner: right and down
    assert env.get_action_meanings() == ["UP", "RIGHT", "DOWN", "LEFT"]
    env.step(1)
    assert env.get_valid_actions() == [1, 3]  # the obstacle is below
    named = export.to_gymnasium(envs.make("chain"), action_meanings=["ON"])
    assert named.get_action_meanings() == ["ON"]
    with pytest.raises(UsageError, match="no names for its actions"):
        gymnasium.make("jaxrl/Chain-v0").unwrapped.get_action_meanings()
    with pytest.raises(UsageError, match="no episode is running"):
        named.get_valid_actions()


@pytest.mark.parametrize(
    ("world", "action", "message"),
    [
        ("gridworld", 4, "action 4 is out of range: expected 0 to 3"),
        ("gridworld", -1, "action -1 is out of range: expected 0 to 3"),
        ("gridworld", 1.0, "action 1.0 is float64 of shape (): expected integers of shape ()"),
        ("gridworld", True, "action True is bool of shape (): expected integers of shape ()"),
        ("gridworld", [1], "action [1] is int64 of shape (1,): expected integers of shape ()"),
        ("gridworld", None, "action None is object of shape (): expected integers of shape ()"),
        ("multi_discrete", [0, 2, 0], "action 2 at [1] is out of range: expected 0 to 1"),
        ("quadratic", [0.0], "action [0.0] is float64 of shape (1,): expected numbers of shape (2,)"),
        ("quadratic", [0.0, float("nan")], "action nan at [1] is out of range: expected -1.0 to 1.0"),
        ("quadratic", "up", "action 'up' is <U2 of shape (): expected numbers of shape (2,)"),
    ],
)
def test_bad_actions_are_refused(world, action, message):
    env = export.to_gymnasium(envs.make(world))
    env.reset()
    with pytest.raises(UsageError) as error:
        env.step(action)
    assert str(error.value) == message


def test_continuous_actions_are_brought_to_their_bounds():
    env = export.to_gymnasium(envs.make("quadratic"))
    rewards = []
    for action in ([5.0, -5.0], [1.0, -1.0]):
        env.reset(seed=0)
        rewards.append(env.step(action)[1])
    assert rewards[0] == rewards[1]


def test_spaces_in_gymnasium():
    assert to_space(Discrete(3)) == gymnasium.spaces.Discrete(3)
    assert to_space(MultiDiscrete((2, 3))) == gymnasium.spaces.MultiDiscrete([2, 3])
    nested = to_space({"a": Box(0, 255, (2, 2), np.uint8), "b": (Discrete(2), Box(-1.0, 1.0, ()))})
    assert nested["a"].dtype == np.uint8 and nested["b"][0].n == 2 and nested["b"][1].shape == ()
    with pytest.raises(UsageError, match="has no counterpart in Gymnasium"):
        to_space("red")


# --- a vector of environments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two_lengths", "masked_walk", "random_start"])
def test_the_vector_is_vectorize(name):
    """Every step shows what `vectorize` gives for the same keys."""
    world, num_envs = envs.make(name), 4
    vector, venv = export.to_gymnasium_vector(world, num_envs), vectorize(world, num_envs)
    reset, step = jax.jit(venv.reset), jax.jit(venv.step)
    obs, _ = vector.reset(seed=7)
    key = jax.random.key(int(np.random.Generator(np.random.PCG64(7)).integers(2**31)))
    key, reset_key = jax.random.split(key)
    state, timestep = reset(reset_key, world.params)
    np.testing.assert_array_equal(obs, timestep.obs.features)
    generator, ends = np.random.default_rng(0), 0
    for _ in range(25):
        action = generator.integers(world.action_space.n, size=num_envs)
        key, step_key = jax.random.split(key)
        state, timestep = step(step_key, state, jnp.asarray(action), world.params)
        obs, reward, terminated, truncated, info = vector.step(action)
        contracts.assert_equal(
            (obs, reward, terminated, truncated),
            (timestep.obs.features, timestep.reward, timestep.terminated, timestep.truncated),
        )
        ended = terminated | truncated
        assert ("final_obs" in info) == ended.any()
        for row in np.flatnonzero(ended):
            np.testing.assert_array_equal(info["final_obs"][row], timestep.final_obs.features[row])
            assert info["final_info"]["episode_return"][row] == timestep.info["episode_return"][row]
            ends += 1
        if timestep.obs.legal is not None:
            np.testing.assert_array_equal(info["action_mask"], timestep.obs.legal)
    assert ends >= num_envs


def test_the_vector_tells_what_gymnasiums_own_vector_tells():
    """The same world, made of single environments: equal observations, flags, and info for the same actions."""
    world = envs.make("masked_walk", length=3)
    ours = export.to_gymnasium_vector(world, 2)
    theirs = SyncVectorEnv([lambda: export.to_gymnasium(world)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    both = [vector.reset(seed=0) for vector in (ours, theirs)]
    for t in range(9):
        contracts.assert_close(both[0][:1], both[1][:1], 0)
        np.testing.assert_array_equal(both[0][-1]["action_mask"], both[1][-1]["action_mask"])
        both = [vector.step(np.array([t % 2, 0])) for vector in (ours, theirs)]
        for mine, other in zip(both[0][1:4], both[1][1:4], strict=True):
            np.testing.assert_array_equal(mine, other)
        mine, other = (each[4] for each in both)
        assert ("final_obs" in mine) == ("final_obs" in other) == (t % 3 == 2)
        if t % 3 == 2:
            for row in range(2):
                np.testing.assert_array_equal(mine["final_obs"][row], other["final_obs"][row])
            np.testing.assert_array_equal(mine["_final_obs"], other["_final_obs"])
            for name in ("step", "_step", "action_mask", "_action_mask"):
                np.testing.assert_array_equal(mine["final_info"][name], other["final_info"][name])


def test_the_vector_is_seeded_drawn_and_refuses():
    vector = export.to_gymnasium_vector(envs.make("random_start"), 3)
    with pytest.raises(UsageError, match="no episode is running: call reset"):
        vector.step(np.zeros(3, int))
    starts = [vector.reset(seed=1)[0], vector.reset()[0], vector.reset(seed=1)[0]]
    np.testing.assert_array_equal(starts[0], starts[2])
    assert len({row.tobytes() for row in np.concatenate(starts[:2])}) == 6
    with pytest.raises(UsageError, match="expected integers of shape \\(3,\\)"):
        vector.step(np.zeros(2, int))
    with pytest.raises(UsageError, match="action 1 at \\[2\\] is out of range: expected 0 to 0"):
        vector.step(np.array([0, 0, 1]))
    with pytest.raises(UsageError, match="reset_mask is for vectors without auto-reset"):
        vector.reset(options={"reset_mask": np.ones(3, bool)})
    drawn = export.to_gymnasium_vector(envs.make("gridworld"), 2, render_mode="rgb_array")
    drawn.reset(seed=0)
    frames = drawn.render()
    assert len(frames) == 2 and frames[0].dtype == np.uint8 and frames[0].shape[2] == 3


# --- several agents ------------------------------------------------------------------------------------------------

SEVERAL = {
    "leavers": leavers,
    "leavers, limited": lambda: leavers(max_steps=4),
    "coin_game": lambda: envs.make("coin_game"),
    "tic_tac_toe": lambda: envs.make("tic_tac_toe"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_pettingzoos_tests_pass_without_a_warning(name):
    world = SEVERAL[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(export.to_pettingzoo(world), num_cycles=60)
        parallel_seed_test(lambda: export.to_pettingzoo(world), num_cycles=20)


def test_agents_leave_when_they_terminate():
    env = export.to_pettingzoo(leavers())
    _, info = env.reset(seed=2)
    pebbles = {agent: int(obs[0]) for agent, obs in env.reset(seed=2)[0].items()}
    assert set(pebbles) == {"agent_0", "agent_1", "agent_2"} and info["agent_0"]["pebbles"] == sum(pebbles.values())
    for t in range(max(pebbles.values())):
        acting = {agent for agent, count in pebbles.items() if count > t}
        assert set(env.agents) == acting
        _, reward, terminated, truncated, _ = env.step(dict.fromkeys(acting, 1))
        assert reward == dict.fromkeys(acting, 1.0) and truncated == dict.fromkeys(acting, False)
        assert terminated == {agent: pebbles[agent] == t + 1 for agent in acting}
    assert env.agents == []


def test_a_limit_makes_everybody_leave():
    env = export.to_pettingzoo(leavers(max_steps=2))
    env.reset(seed=0)
    for limit in (False, True):
        *_, terminated, truncated, info = env.step(dict.fromkeys(env.agents, 0))
        assert set(truncated.values()) == {limit} and not any(terminated.values())
    assert env.agents == [] and info["agent_1"]["action_mask"].tolist() == [1, 1]


def test_mistakes_with_agents_are_refused():
    env = export.to_pettingzoo(leavers())
    with pytest.raises(UsageError, match="no episode is running: call reset"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(UsageError, match="actions are for \\['agent_0'\\]: expected one for each of"):
        env.step({"agent_0": 1})
    with pytest.raises(UsageError, match="action 2 is out of range: expected 0 to 1"):
        env.step(dict.fromkeys(env.agents, 2))
    with pytest.raises(UsageError, match="the environment has 3 agents: expected one"):
        export.to_gymnasium(leavers())
    with pytest.raises(UsageError, match="the environment has 3 agents: expected one"):
        export.to_gymnasium_vector(leavers(), 2)
    with pytest.raises(UsageError, match="the environment has one agent: expected several"):
        export.to_pettingzoo(envs.make("chain"))


def test_a_missing_library_gives_an_install_hint(monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    for function, library in ((export.to_gymnasium, "gymnasium"), (export.to_pettingzoo, "pettingzoo")):
        with pytest.raises(UsageError) as error:
            function(envs.make("chain"))
        assert str(error.value) == f"{library} is not installed; expected it: pip install {library}"
