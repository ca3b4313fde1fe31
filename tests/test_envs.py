"""The worlds: equal to their originals in every (state, action), true to their own tables, clear about bad input."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import envs
from jaxrl.envs import grid
from jaxrl.envs.gridworld import gridworld
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import UsageError
from jaxrl.types import Environment, Model

ORIGINALS = [
    ("FrozenLake-v1", {"is_slippery": False}, "frozen_lake", {}),
    ("FrozenLake-v1", {"is_slippery": True}, "frozen_lake", {"slippery": True}),
    ("FrozenLake8x8-v1", {"is_slippery": False}, "frozen_lake", {"layout": "8x8"}),
    (
        "FrozenLake8x8-v1",
        {"is_slippery": True, "success_rate": 0.7},
        "frozen_lake",
        {"layout": "8x8", "slippery": True, "success_rate": 0.7},
    ),
    (
        "FrozenLake-v1",
        {"desc": ["SFS", "HFG"], "is_slippery": True},
        "frozen_lake",
        {"layout": "SFS/HFG", "slippery": True},
    ),
    ("CliffWalking-v1", {}, "cliff_walking", {}),
    ("CliffWalkingSlippery-v1", {}, "cliff_walking", {"slippery": True}),
    ("Taxi-v4", {}, "taxi", {}),
    ("Taxi-v4", {"is_rainy": True}, "taxi", {"rainy": True}),
    ("Taxi-v4", {"is_rainy": True, "rainy_probability": 0.5}, "taxi", {"rainy": True, "rainy_probability": 0.5}),
]


def outcomes(rows: Any) -> dict[tuple[int, float, bool], float]:
    """{(next state, reward, terminated): probability} of one (state, action), equal outcomes added up."""
    found: dict[tuple[int, float, bool], float] = {}
    for probability, state, reward, terminated in rows:
        if probability > 0:
            outcome = (int(state), float(reward), bool(terminated))
            found[outcome] = found.get(outcome, 0.0) + float(probability)
    return found


def of_model(model: Model, state: int, action: int) -> dict[tuple[int, float, bool], float]:
    fields = (model.probability, model.next_state, model.reward, model.terminated)
    return outcomes(zip(*(field[state, action] for field in fields), strict=True))


def table_of(env: Environment) -> Model:
    assert env.model is not None
    return env.model(env.params)


def follow(env: Environment, actions: list[int], start: int | None = None) -> list[tuple[int, float, bool]]:
    """(obs, reward, terminated) of every step of a deterministic world."""
    step, key, steps = jax.jit(env.step), jax.random.key(0), []
    state = env.reset(key, env.params)[0] if start is None else np.int32(start)
    for action in actions:
        state, obs, reward, terminated = step(key, state, np.int32(action), env.params)
        steps.append((int(obs), round(float(reward), 6), bool(terminated)))
    return steps


@pytest.mark.parametrize(("original", "arguments", "name", "options"), ORIGINALS)
def test_every_state_and_action_equals_gymnasium(original: str, arguments: dict, name: str, options: dict) -> None:
    reference, env = gymnasium.make(original, **arguments), envs.make(name, **options)
    theirs, model = reference.unwrapped, table_of(env)
    num_states, num_actions, _ = model.probability.shape
    assert (num_states, num_actions) == (theirs.observation_space.n, theirs.action_space.n)
    assert (env.observation_space.n, env.action_space.n) == (num_states, num_actions)
    assert env.max_steps == reference.spec.max_episode_steps
    np.testing.assert_allclose(model.start, theirs.initial_state_distrib, atol=1e-12)
    for state, action in itertools.product(range(num_states), range(num_actions)):
        assert of_model(model, state, action) == pytest.approx(outcomes(theirs.P[state][action]), abs=1e-12)


@pytest.mark.parametrize("name", ["frozen_lake", "cliff_walking", "taxi", "gridworld", "t_maze", "chain", "ring"])
def test_a_step_reads_its_table(name: str) -> None:
    """All (state, action) pairs of the deterministic worlds, stepped at once."""
    env = envs.make(name)
    model = table_of(env)
    assert model.probability.shape[2] == 1
    states, actions = (axis.ravel() for axis in np.indices(model.probability.shape[:2]))
    step = jax.jit(jax.vmap(lambda s, a: env.step(jax.random.key(0), s, a, env.params)))
    after, obs, reward, terminated = step(states, actions)
    np.testing.assert_array_equal(after, model.next_state.ravel())
    np.testing.assert_allclose(reward, model.reward.ravel(), rtol=1e-6)
    np.testing.assert_array_equal(terminated, model.terminated.ravel())
    assert (after.dtype, reward.dtype, terminated.dtype) == (jnp.int32, jnp.float32, bool)
    if obs.ndim == 1:
        np.testing.assert_array_equal(obs, after)


@pytest.mark.parametrize(
    ("name", "options", "state", "action"),
    [
        ("frozen_lake", {"slippery": True}, 0, 3),
        ("frozen_lake", {"slippery": True, "success_rate": 0.8}, 14, 2),
        ("cliff_walking", {"slippery": True}, 24, 2),
        ("taxi", {"rainy": True}, 252, 1),
        ("taxi", {"rainy": True, "fickle": True}, 500 + 250 - 2, 1),
        ("random_mdp", {"num_outcomes": 5}, 3, 1),
    ],
)
def test_steps_are_drawn_from_the_model(name: str, options: dict, state: int, action: int) -> None:
    env, draws = envs.make(name, **options), 20_000
    expected = of_model(table_of(env), state, action)
    step = jax.vmap(lambda key: env.step(key, jnp.int32(state), jnp.int32(action), env.params))
    after, _, reward, terminated = jax.jit(step)(jax.random.split(jax.random.key(5), draws))
    counts = dict.fromkeys(((s, np.float32(r).item(), t) for s, r, t in expected), 0)
    for s, r, t in zip(after.tolist(), reward.tolist(), terminated.tolist(), strict=True):
        counts[s, r, t] += 1
    assert len(expected) > 1
    weights = np.array(list(expected.values()))
    assert stats.chisquare(list(counts.values()), weights / weights.sum() * draws).pvalue > 0.001


def test_an_outcome_of_probability_zero_is_never_drawn() -> None:
    chances, rewards = [[0.3, 0.7, 0.0], [0.0, 0.999999, 0.000001]], [[0.0, 0.0, 99.0], [99.0, 0.0, 0.0]]
    model = tables([chances], 0, [rewards], False, [1.0])
    env, actions = tabular(model), jnp.arange(100_000) % 2
    step = jax.vmap(lambda key, action: env.step(key, jnp.int32(0), action, ())[2])
    assert float(jax.jit(step)(jax.random.split(jax.random.key(0), actions.size), actions).max()) == 0.0


@pytest.mark.parametrize(("name", "num_starts"), [("taxi", 300), ("ring", 5), ("two_lengths", 2)])
def test_resets_are_drawn_from_the_start_distribution(name: str, num_starts: int) -> None:
    env, draws = envs.make(name), 30_000
    start = np.asarray(table_of(env).start)
    states, _ = jax.jit(jax.vmap(lambda key: env.reset(key, env.params)))(jax.random.split(jax.random.key(2), draws))
    counts = np.bincount(states, minlength=start.size)
    assert (start > 0).sum() == num_starts and not counts[start == 0].any()
    assert stats.chisquare(counts[start > 0], start[start > 0] * draws).pvalue > 0.001


def test_taxi_masks_the_actions_that_gymnasium_masks() -> None:
    theirs, env = gymnasium.make("Taxi-v4").unwrapped, envs.make("taxi", masked=True)
    ours = jax.vmap(lambda state: env.legal_actions(state, env.params))(jnp.arange(500))
    np.testing.assert_array_equal(ours, [theirs.action_mask(state) for state in range(500)])
    assert envs.make("taxi").legal_actions is None


def test_a_fickle_passenger_changes_as_in_gymnasium() -> None:
    """The change of mind is not in Gymnasium's tables, so its `step` is asked, in dry weather and in rain."""
    for rainy in (False, True):
        theirs = gymnasium.make("Taxi-v4", is_rainy=rainy, fickle_passenger=True).unwrapped
        theirs.reset(seed=1)
        model = table_of(envs.make("taxi", rainy=rainy, fickle=True))
        plain = table_of(envs.make("taxi", rainy=rainy))

        def seen(state: int, action: int, draws: int, theirs: Any = theirs) -> dict[tuple[int, float, bool], int]:
            counts: dict[tuple[int, float, bool], int] = {}
            for _ in range(draws):
                theirs.s, theirs.fickle_step = state, True
                after, reward, terminated, *_ = theirs.step(action)
                outcome = (after + 500 * theirs.fickle_step, float(reward), terminated)
                counts[outcome] = counts.get(outcome, 0) + 1
            return counts

        for state, action in itertools.product(range(0, 500, 9), range(6)):
            assert set(seen(state, action, 20)) <= set(of_model(model, 500 + state, action))
            settled = of_model(model, state, action)  # without the flag nobody changes their mind
            assert settled == pytest.approx(of_model(plain, state, action))
        aboard = (2 * 5 + 2) * 20 + 4 * 4 + 1  # in the middle of the town, bound for green
        expected, counts = of_model(model, 500 + aboard, 1), seen(aboard, 1, 3000)
        assert len(expected) == (9 if rainy else 3) and set(counts) == set(expected)
        chances = np.array(list(expected.values()))
        assert stats.chisquare([counts[outcome] for outcome in expected], chances * 3000).pvalue > 0.001
        np.testing.assert_allclose(model.start[500:] / 0.3, plain.start)


def test_taxi_with_a_fickle_passenger_shows_the_same_observations() -> None:
    env = envs.make("taxi", fickle=True)
    assert env.observation_space.n == 500
    assert int(env.step(jax.random.key(0), jnp.int32(777), jnp.int32(4), ())[1]) == 277


def test_gridworld_keeps_the_specification() -> None:
    """4 x 4, start (0, 0), goal (3, 3), obstacles (1, 1) and (2, 2); actions up, right, down, left."""
    env = envs.make("gridworld")
    up, right, down, left = range(4)
    assert follow(env, [up, left]) == [(0, -0.1, False), (0, -0.1, False)]
    assert follow(env, [right, down, left, down, right]) == [
        (1, -0.1, False),
        (1, -2.0, False),
        (0, -0.1, False),
        (4, -0.1, False),
        (4, -2.0, False),
    ]
    way = follow(env, [right, right, right, down, down, down])
    assert [step[0] for step in way] == [1, 2, 3, 7, 11, 15]
    assert [step[1] for step in way] == [-0.1] * 5 + [10.0]
    assert [step[2] for step in way] == [False] * 5 + [True]
    assert follow(env, [down, right], start=14) == [(14, -0.1, False), (15, 10.0, True)]
    assert (env.max_steps, env.observation_space.n, env.action_space.n) == (100, 16, 4)
    assert [float(env.measure(jnp.int32(cell), ())["success"]) for cell in (14, 15)] == [0.0, 1.0]


def test_gridworld_takes_any_map() -> None:
    env = gridworld("S.#.G\n..#.S\n", step_reward=-1.0, goal_reward=5.0, obstacle_reward=-3.0, max_steps=None)
    assert (env.observation_space.n, env.max_steps) == (10, None)
    np.testing.assert_allclose(table_of(env).start, np.eye(10)[[0, 9]].mean(0))
    assert follow(env, [1, 1, 2, 1], start=0) == [(1, -1, False), (1, -3, False), (6, -1, False), (6, -3, False)]
    assert follow(env, [0], start=9) == [(4, 5.0, True)]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("...\n..G", "the map has no start: expected at least one S"),
        ("S..\n...", "the map has no goal: expected at least one G"),
        ("S..\n.XG", "the map has 'X' in line 2, column 2: expected S start, G goal, # obstacle, . free"),
        ("S..\n..\n..G", "line 2 of the map has 2 letters: expected 3, like line 1"),
        ("", "the map has no start: expected at least one S"),
    ],
)
def test_a_bad_map_is_refused(layout: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make("gridworld", layout=layout)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("taxy", {}, "unknown environment 'taxy': did you mean taxi?"),
        ("CartPole-v9", {}, "unknown environment 'CartPole-v9': did you mean cartpole?"),
        ("frozen_lake", {"slipery": True}, "unknown option of frozen_lake 'slipery': did you mean slippery?"),
        ("frozen_lake", {"slippery": 1}, "option slippery of frozen_lake is 1: expected bool, like its default False"),
        ("taxi", {"max_steps": "many"}, "option max_steps of taxi is 'many': expected a whole number of steps"),
        ("t_maze", {"max_steps": True}, "option max_steps of t_maze is True: expected a whole number of steps"),
        ("random_mdp", {"seed": True}, "option seed of random_mdp is True: expected int, like its default 0"),
        ("multi_discrete", {"sizes": (3, 0)}, "sizes is 0: expected at least 1"),
        ("gridworld", {"max_steps": 0}, "max_steps is 0: expected at least 1"),
        ("gridworld", {"layout": 4}, "option layout of gridworld is 4: expected str, like its default "),
        ("taxi", {"rainy_probability": 1.5}, "rainy_probability is 1.5: expected a number from 0 to 1"),
        ("t_maze", {"length": 0}, "length is 0: expected at least 1"),
        ("random_mdp", {"num_states": 0}, "num_states is 0: expected at least 1"),
        ("frozen_lake", {"layout": "5x5"}, "the map has '5' in line 1, column 1: expected S start, F frozen, "),
    ],
)
def test_a_bad_name_or_option_is_refused_in_one_line(name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make(name, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_name_like_no_other_lists_what_there_is() -> None:
    with pytest.raises(UsageError) as error:
        envs.make("zzz")
    assert str(error.value) == f"unknown environment 'zzz': expected one of {', '.join(envs.names())}"


def test_tables_that_are_no_model_are_refused() -> None:
    with pytest.raises(UsageError, match="probabilities that sum to 1"):
        tables([[[0.5, 0.4]]], 0, 0.0, False, [1.0])
    with pytest.raises(UsageError, match="next states run from 0 to 7: expected 0 to 0"):
        tables([[[0.5, 0.5]]], [[[0, 7]]], 0.0, False, [1.0])


def test_a_checkout_imports_the_one_package_lightly() -> None:
    """`import envs` is `jaxrl.envs`, submodules and classes included; names need neither gymnax nor a backend."""
    code = """
import sys
import envs.grid, envs.probes
from envs.taxi import taxi
import jaxrl.envs, jaxrl.envs.taxi
assert envs is sys.modules["jaxrl.envs"] and envs.grid is jaxrl.envs.grid and envs.probes is jaxrl.envs.probes
assert taxi is jaxrl.envs.taxi.taxi and "cartpole" in envs.names()
import jax
assert not jax._src.xla_bridge._backends
assert not {"gymnax", "gymnasium", "matplotlib", "pandas", "seaborn"} & set(sys.modules), sys.modules
assert envs.make("ring").max_steps == 3
"""
    checkout = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_edge_of_a_map_holds() -> None:
    reached = grid.neighbours((2, 3), (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT))
    assert reached.tolist() == [[0, 1, 3, 0], [1, 2, 4, 0], [2, 2, 5, 1], [0, 4, 3, 3], [1, 5, 4, 3], [2, 5, 5, 4]]
