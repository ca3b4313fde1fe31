"""Grid worlds: every move brute-forced from the rules in words, and the optima that the books give."""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import agents, envs, exact, loop
from jaxrl.envs import goals, grid
from jaxrl.envs.blocking_maze import Clock, advance
from jaxrl.envs.dyna_maze import LAYOUT as DYNA
from jaxrl.envs.four_rooms import LAYOUT as ROOMS
from jaxrl.envs.goal_grid import LAYOUT as OPEN
from jaxrl.envs.goal_grid import State
from jaxrl.envs.gridworld import ACTION_MEANINGS, FOUR_BY_FOUR, valid_actions
from jaxrl.errors import UsageError
from jaxrl.types import Environment, Model
from jaxrl.vectorize import vectorize

Outcomes = dict[tuple[int, float, bool], float]
UP, RIGHT, DOWN, LEFT = range(4)


def table_of(env: Environment, params: Any = None) -> Model:
    assert env.model is not None
    return env.model(env.params if params is None else params)


def of_model(model: Model, state: int, action: int) -> Outcomes:
    """{(next state, reward, terminated): probability}, equal outcomes added up."""
    found: Outcomes = {}
    fields = (model.probability, model.next_state, model.reward, model.terminated)
    for probability, *outcome in zip(*(field[state, action] for field in fields), strict=True):
        if probability > 0:
            key = (int(outcome[0]), float(outcome[1]), bool(outcome[2]))
            found[key] = found.get(key, 0.0) + float(probability)
    return found


def steps_of(env: Environment, states: Any, actions: Any, params: Any = None) -> tuple[np.ndarray, ...]:
    """(state, obs, reward, terminated) after each of the (state, action) pairs, on keys of their own."""
    keys = jax.random.split(jax.random.key(7), np.size(actions))
    params = env.params if params is None else params
    step = contracts.quick(jax.vmap(env.step, (0, 0, 0, None)))
    return tuple(step(keys, states, jnp.asarray(actions, jnp.int32), params))


def walk(lines: list[str], cell: int, action: int) -> int:
    """Where a move leads on a map, told by hand: up, right, down, left; walls and edges hold."""
    row, column = divmod(cell, len(lines[0]))
    down, right = ((-1, 0), (0, 1), (1, 0), (0, -1))[action]
    there = row + down, column + right
    inside = 0 <= there[0] < len(lines) and 0 <= there[1] < len(lines[0])
    return there[0] * len(lines[0]) + there[1] if inside and lines[there[0]][there[1]] != "#" else cell


def distances(lines: list[str], goals: set[int]) -> dict[int, int]:
    """{cell: steps to the nearest goal}, breadth first over the moves by hand."""
    found, queue = dict.fromkeys(goals, 0), deque(goals)
    cells = [i for i, letter in enumerate("".join(lines)) if letter != "#"]
    while queue:
        reached = queue.popleft()
        for cell in cells:
            if cell not in found and reached in {walk(lines, cell, action) for action in range(4)}:
                found[cell] = found[reached] + 1
                queue.append(cell)
    return found


def shortest(model: Model) -> np.ndarray:
    """The steps of the best policy to the end, from every state."""
    costs = Model(model.probability, model.next_state, -np.ones_like(model.reward), model.terminated, model.start)
    return -exact.value_iteration(costs, 1.0, max_sweeps=500).max(-1)


DETERMINISTIC = {
    "windy_gridworld": {}, "windy_gridworld, king": {"moves": "king"}, "dyna_maze": {}, "blocking_maze": {},
    "deep_sea": {}, "short_corridor": {}, "four_rooms": {"success_rate": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_step_reads_its_table(name: str) -> None:
    env = envs.make(name.split(",")[0], **DETERMINISTIC[name])
    model = table_of(env)
    assert model.probability.shape[2] == 1
    sea = name == "deep_sea"  # there the last two states are ends, from which no step is made
    states, actions = (axis.ravel() for axis in np.indices((len(model.start) - 2 * sea, env.action_space.n)))
    after, obs, reward, terminated = steps_of(env, states, actions)
    np.testing.assert_array_equal(after, model.next_state[states, actions, 0])
    np.testing.assert_allclose(reward, model.reward[states, actions, 0], rtol=1e-6)
    np.testing.assert_array_equal(terminated, model.terminated[states, actions, 0])
    if name not in ("deep_sea", "short_corridor"):
        np.testing.assert_array_equal(obs, after)


@pytest.mark.parametrize(
    ("name", "options", "state", "action"),
    [
        ("windy_gridworld", {"stochastic": True}, 33, 1),
        ("four_rooms", {}, 2 * 13 + 2, 0),
        ("access_control", {"num_servers": 3, "free_probability": 0.4}, 1 * 4 + 2, 1),
        ("random_walk", {"num_states": 9, "jump": 2}, 4, 0),
    ],
)
def test_steps_are_drawn_from_the_model(name: str, options: dict, state: int, action: int) -> None:
    env, draws = envs.make(name, **options), 20_000
    expected = of_model(table_of(env), state, action)
    after, _, reward, terminated = steps_of(env, np.full(draws, state, np.int32), np.full(draws, action))
    counts = dict.fromkeys(((s, np.float32(r).item(), t) for s, r, t in expected), 0)
    for outcome in zip(after.tolist(), reward.tolist(), terminated.tolist(), strict=True):
        counts[outcome] += 1
    assert len(expected) > 2
    assert stats.chisquare(list(counts.values()), np.array(list(expected.values())) * draws).pvalue > 0.001


# --- windy gridworld -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("moves", "number", "steps"), [("four", 4, 15), ("king", 8, 7), ("king_and_stay", 9, 7)])
def test_windy_gridworld_takes_as_many_steps_as_in_the_book(moves: str, number: int, steps: int) -> None:
    env = envs.make("windy_gridworld", moves=moves)
    assert (env.action_space.n, env.observation_space.n, env.max_steps) == (number, 70, None)
    assert shortest(table_of(env))[3 * 10 + 0] == pytest.approx(steps)
    assert table_of(env).start[30] == 1


@pytest.mark.parametrize("moves", ["four", "king_and_stay"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_wind_carries_every_move(moves: str, stochastic: bool) -> None:
    model = table_of(envs.make("windy_gridworld", moves=moves, stochastic=stochastic))
    directions = [(-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1), (0, 0)]
    held = 0
    for row, column, action in itertools.product(range(7), range(10), range(model.probability.shape[1])):
        wind = [0, 0, 0, 1, 1, 1, 2, 2, 1, 0][column]
        expected: Outcomes = {}
        for gust in (-1, 0, 1) if stochastic and wind else (0,):
            down, right = directions[action]
            there = [row + down - wind - gust, column + right]
            held += not (0 <= there[0] <= 6 and 0 <= there[1] <= 9)
            cell = min(max(there[0], 0), 6) * 10 + min(max(there[1], 0), 9)
            outcome = (cell, -1.0, cell == 37)
            expected[outcome] = expected.get(outcome, 0.0) + (1 / 3 if stochastic and wind else 1.0)
        assert of_model(model, row * 10 + column, action) == pytest.approx(expected)
    assert held > 40


def test_left_of_the_cell_right_of_the_goal_is_above_it() -> None:
    assert of_model(table_of(envs.make("windy_gridworld")), 38, LEFT) == {(27, -1.0, False): 1.0}  # the book's example


# --- mazes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [1, 3])
def test_every_move_in_the_dyna_maze(resolution: int) -> None:
    model = table_of(envs.make("dyna_maze", resolution=resolution))
    lines = ["".join(letter * resolution for letter in line) for line in DYNA.split("/") for _ in range(resolution)]
    assert (len(lines), len(lines[0])) == (6 * resolution, 9 * resolution)
    letters, stopped = "".join(lines), 0
    for cell, action in itertools.product(range(len(letters)), range(4)):
        if letters[cell] in "#G":
            continue
        there = walk(lines, cell, action)
        stopped += there == cell
        found = letters[there] == "G"
        assert of_model(model, cell, action) == {(there, float(found), found): 1.0}
    assert stopped > 40 * resolution
    start = 2 * resolution * 9 * resolution
    assert model.start[start] == 1
    steps = distances(lines, {i for i, letter in enumerate(letters) if letter == "G"})[start]
    assert exact.value_iteration(model, 0.95).max(-1)[start] == pytest.approx(0.95 ** (steps - 1))
    assert resolution > 1 or steps == 14


@pytest.mark.parametrize(
    ("variant", "gaps", "steps"), [("blocking", ({8}, {0}), (10, 16)), ("shortcut", ({0}, {0, 8}), (16, 10))]
)
def test_the_wall_of_the_blocking_maze_changes_with_the_clock(
    variant: str, gaps: tuple[set[int], set[int]], steps: tuple[int, int]
) -> None:
    env = envs.make("blocking_maze", variant=variant, change_at=100)
    assert env.params == Clock(0, 100) and env.measure is not None and env.render is not None
    pictures = []
    for changed, clock in enumerate((Clock(np.int32(99), np.int32(100)), Clock(np.int32(100), np.int32(100)))):
        lines = ["........."] * 3 + ["".join("." if i in gaps[changed] else "#" for i in range(9))] + ["........."] * 2
        model = table_of(env, clock)
        states, actions = (axis.ravel() for axis in np.indices((54, 4)))
        after, obs, reward, terminated = steps_of(env, states, actions, clock)
        expected = [walk(lines, s, a) if s != 8 else 8 for s, a in zip(states, actions, strict=True)]
        np.testing.assert_array_equal(after, expected)
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal(terminated, np.array(expected) == 8)
        np.testing.assert_array_equal(reward, (np.array(expected) == 8) & (states != 8))
        np.testing.assert_array_equal(model.next_state.ravel(), after)
        assert shortest(model)[5 * 9 + 3] == pytest.approx(steps[changed])
        assert {k: float(v) for k, v in env.measure(8, clock).items()} == {"success": 1.0, "changed": changed}
        pictures.append(np.asarray(env.render(jnp.int32(48), clock)))
    columns = (pictures[0] != pictures[1])[3 * 16 : 4 * 16].any((0, 2)).reshape(9, 16).any(-1)
    assert set(np.flatnonzero(columns)) == gaps[0] ^ gaps[1]


def test_the_wall_changes_within_a_training_run() -> None:
    """`advance` counts the steps of all rows; from the change on the info of the episodes tells the second map."""
    env = envs.make("blocking_maze", change_at=30)
    trainer = loop.make_trainer(agents.make("random", env), vectorize(env, 2), 4, update_task=advance)
    step, state, changed = contracts.quick(trainer.step), jax.jit(trainer.init)(jax.random.key(0)), []
    for _ in range(6):
        changed.append(bool(state.timestep.info["changed"].all()))
        state, _ = step(state)
    assert int(state.task.steps) == 48
    assert changed == [False] * 5 + [True]  # 32 steps are made after 4 rollouts of 8: the fifth runs on the new map


def test_every_move_in_the_four_rooms() -> None:
    lines, model = ROOMS.split(), table_of(envs.make("four_rooms"))
    letters = "".join(lines)
    free = [i for i, letter in enumerate(letters) if letter == "."]
    assert (len(lines), len(lines[0]), len(free), free[62]) == (13, 13, 104, 7 * 13 + 9)
    assert np.flatnonzero(model.start).tolist() == [cell for cell in free if cell != 100]
    np.testing.assert_allclose(model.start[model.start > 0], 1 / 103)
    for cell, action in itertools.product(free, range(4)):
        expected: Outcomes = {}
        for taken in range(4):
            there = walk(lines, cell, taken)
            outcome = (there, float(there == 100), there == 100)
            expected[outcome] = expected.get(outcome, 0.0) + (2 / 3 if taken == action else 1 / 9)
        assert of_model(model, cell, action) == pytest.approx(expected)


def test_the_goal_of_the_four_rooms_may_move() -> None:
    env = envs.make("four_rooms", success_rate=1.0)
    for goal in (100, 1 * 13 + 1, 11 * 13 + 11):
        params, steps = np.int32(goal), distances(ROOMS.split(), {goal})
        values = exact.value_iteration(table_of(env, params), 0.9).max(-1)
        assert len(steps) == 104 and max(steps.values()) > 12
        for cell, distance in steps.items():
            assert distance == 0 or values[cell] == pytest.approx(0.9 ** (distance - 1))
        starts = jax.jit(jax.vmap(lambda key, params=params: env.reset(key, params)[0]))(
            jax.random.split(jax.random.key(goal), 20_000)
        )
        counts = np.bincount(starts, minlength=169)[[cell for cell in steps if cell != goal]]
        assert counts.sum() == 20_000 and stats.chisquare(counts).pvalue > 0.001
        cells, actions = (axis.ravel() for axis in np.meshgrid(list(steps), np.arange(4)))
        after, _, reward, terminated = steps_of(env, cells, actions, params)
        there = np.array([walk(ROOMS.split(), cell, action) for cell, action in zip(cells, actions, strict=True)])
        np.testing.assert_array_equal(after, there)
        np.testing.assert_array_equal(terminated, there == goal)
        np.testing.assert_array_equal(reward, there == goal)


# --- goals in the observation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "lines", "rewards"),
    [
        ("goal_grid", {}, OPEN.split("/"), (-1.0, 0.0)),
        ("goal_grid", {"layout": "..#/#..", "step_reward": 0.5, "goal_reward": 2.0}, ["..#", "#.."], (0.5, 2.0)),
        ("four_rooms", {"goals": "random", "success_rate": 1.0}, ROOMS.split(), (0.0, 1.0)),
    ],
)
def test_every_goal_cell_and_move(name: str, options: dict, lines: list[str], rewards: tuple[float, float]) -> None:
    env, letters = envs.make(name, **options), "".join(lines)
    free = np.array([i for i, letter in enumerate(letters) if letter == "."])
    cell, goal, action = (axis.ravel() for axis in np.meshgrid(free, free, np.arange(4)))
    cell, goal = cell.astype(np.int32), goal.astype(np.int32)
    after, obs, reward, terminated = steps_of(env, State(cell, goal), action)
    there = np.array([walk(lines, c, a) for c, a in zip(cell, action, strict=True)])
    np.testing.assert_array_equal(after.cell, there)
    np.testing.assert_array_equal(after.goal, goal)
    np.testing.assert_array_equal(terminated, there == goal)
    np.testing.assert_array_equal(reward, np.where(there == goal, rewards[1], rewards[0]))
    np.testing.assert_array_equal(obs.features, there[:, None] == free)
    np.testing.assert_array_equal(obs.achieved, obs.features)
    np.testing.assert_array_equal(obs.goal, goal[:, None] == free)
    model, state = table_of(env), goal * len(letters) + cell
    np.testing.assert_array_equal(model.next_state[state, action, 0], goal * len(letters) + there)
    np.testing.assert_allclose(model.reward[state, action, 0], reward, rtol=1e-6)
    np.testing.assert_array_equal(model.terminated[state, action, 0], terminated)
    assert model.start[state].min() == 0 and np.count_nonzero(model.start) == free.size * (free.size - 1)


def test_all_pairs_of_start_and_goal_are_drawn_alike() -> None:
    env = envs.make("goal_grid", layout="..#/#..")
    state, obs = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(jax.random.key(0), 20_000), ())
    counts = np.bincount(state.goal * 6 + state.cell, minlength=36)
    pairs = [goal * 6 + cell for goal, cell in itertools.permutations([0, 1, 4, 5], 2)]
    assert counts[pairs].sum() == 20_000 and stats.chisquare(counts[pairs]).pvalue > 0.001
    np.testing.assert_array_equal(obs.goal.argmax(-1), np.searchsorted([0, 1, 4, 5], state.goal))


def test_every_flip_of_every_bit() -> None:
    """Among them all pairs of bits and goals; the best return is 1 minus the number of bits to flip."""
    env, model = envs.make("bit_flipping", num_bits=4), table_of(envs.make("bit_flipping", num_bits=4))
    goal, bits, action = (axis.ravel() for axis in np.indices((16, 16, 4)))
    unpacked = ((np.stack([bits, goal])[..., None] >> np.arange(4)) & 1).astype(bool)
    after, obs, reward, terminated = steps_of(env, type(env.reset(jax.random.key(0), ())[0])(*unpacked), action)
    flipped = bits ^ (1 << action)
    np.testing.assert_array_equal(after.bits @ (1 << np.arange(4)), flipped)
    np.testing.assert_array_equal(after.goal, unpacked[1])
    np.testing.assert_array_equal(terminated, flipped == goal)
    np.testing.assert_array_equal(reward, np.where(flipped == goal, 0.0, -1.0))
    np.testing.assert_array_equal(obs.features, after.bits)
    np.testing.assert_array_equal(obs.achieved, after.bits)
    np.testing.assert_array_equal(obs.goal, unpacked[1])
    np.testing.assert_array_equal(model.next_state[goal * 16 + bits, action, 0], goal * 16 + flipped)
    np.testing.assert_array_equal(model.reward[goal * 16 + bits, action, 0], reward)
    np.testing.assert_array_equal(model.terminated[goal * 16 + bits, action, 0], terminated)
    best = exact.value_iteration(model, 1.0).max(-1)
    apart = np.array([(goal ^ bits).bit_count() for goal, bits in itertools.product(range(16), repeat=2)])
    np.testing.assert_allclose(best, np.where(apart == 0, -1, 1 - apart))


def test_bit_flipping_is_that_of_the_paper() -> None:
    env = envs.make("bit_flipping", num_bits=20)
    assert (env.max_steps, env.action_space.n, env.observation_space.shape, env.model) == (20, 20, (20,), None)
    state, obs = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(jax.random.key(0), 5000), ())
    assert np.abs(np.concatenate([obs.features, obs.goal], 1).mean(0) - 0.5).max() < 4 * 0.5 / np.sqrt(5000)
    assert np.abs(np.corrcoef(np.concatenate([obs.features, obs.goal], 1).T) - np.eye(40)).max() < 5 / np.sqrt(5000)
    measures = jax.vmap(env.measure, (0, None))(state, ())
    np.testing.assert_array_equal(measures["distance"], (obs.features != obs.goal).sum(-1))
    np.testing.assert_array_equal(measures["success"], measures["distance"] == 0)


def test_a_goal_is_rewarded_in_hindsight() -> None:
    achieved, goal = jnp.array([[[1.0, 0], [0, 1]]]), jnp.array([[[1.0, 0], [1, 0]]])
    assert goals.reached(achieved, goal).tolist() == [[True, False]]
    assert [part.tolist() for part in goals.outcome(achieved, goal)] == [[[0.0, -1.0]], [[True, False]]]
    assert goals.outcome(achieved, achieved)[0].tolist() == [[0.0, 0.0]]


# --- chains --------------------------------------------------------------------------------------------------------


def test_the_short_corridor_is_best_walked_at_random() -> None:
    """Figure 13.1: about 0.59 of the moves to the right are worth -11.6; epsilon-greedy policies -44 and -82."""
    env = envs.make("short_corridor")
    model, chances = table_of(env), np.arange(1, 1000) / 1000
    assert [of_model(model, s, a) for s in range(3) for a in (0, 1)] == [
        {(0, -1.0, False): 1.0}, {(1, -1.0, False): 1.0},
        {(2, -1.0, False): 1.0}, {(0, -1.0, False): 1.0},
        {(1, -1.0, False): 1.0}, {(3, -1.0, True): 1.0},
    ]  # fmt: skip
    values = [exact.policy_value(model, np.tile([1 - p, p], (4, 1)))[0] for p in chances]
    assert chances[np.argmax(values)] == pytest.approx(2 - np.sqrt(2), abs=1e-3)
    assert max(values) == pytest.approx(-6 - 4 * np.sqrt(2), abs=1e-4)
    np.testing.assert_allclose(values, -(4 - 2 * chances) / (chances * (1 - chances)))
    assert [round(values[i]) for i in (949, 49)] == [-44, -82]
    assert env.observation_space.n == 1 and steps_of(env, np.arange(4, dtype=np.int32), [0, 1, 0, 1])[1].max() == 0


def test_the_random_walk_has_the_books_values() -> None:
    five = exact.policy_value(table_of(envs.make("random_walk")), np.zeros(7, int))
    np.testing.assert_allclose(five[1:6], np.arange(1, 6) / 6)
    env = envs.make("random_walk", num_states=19, left_reward=-1.0)
    nineteen = exact.policy_value(table_of(env), np.zeros(21, int))[1:20]
    np.testing.assert_allclose(nineteen, np.arange(-9, 10) / 10, atol=1e-12)
    assert np.sqrt(np.mean(nineteen**2)) == pytest.approx(0.5477, abs=1e-4)  # the error of a learner that knows nothing
    assert np.flatnonzero(table_of(env).start).tolist() == [10] and env.action_space.n == 1


@pytest.mark.parametrize(("num_states", "jump"), [(1, 1), (6, 1), (7, 3), (4, 9)])
def test_every_jump_of_the_random_walk(num_states: int, jump: int) -> None:
    model, end = table_of(envs.make("random_walk", num_states=num_states, jump=jump, left_reward=-2.0)), num_states + 1
    for state in range(1, end):
        expected: Outcomes = {}
        for there in [*range(state - jump, state), *range(state + 1, state + jump + 1)]:
            cell = min(max(there, 0), end)
            outcome = (cell, {0: -2.0, end: 1.0}.get(cell, 0.0), cell in (0, end))
            expected[outcome] = expected.get(outcome, 0.0) + 1 / (2 * jump)
        assert of_model(model, state, 0) == pytest.approx(expected)


def test_the_random_walk_shows_indices_or_vectors() -> None:
    env = envs.make("random_walk", observation="one_hot")
    seen = steps_of(env, np.array([1, 3, 5], np.int32), [0, 0, 0])
    np.testing.assert_array_equal(seen[1], np.eye(7)[seen[0]][:, 1:6])
    assert env.observation_space.shape == (5,) and envs.make("random_walk").observation_space.n == 7


# --- deep sea ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 10, 20])
def test_the_best_return_of_the_deep_sea(size: int) -> None:
    env = envs.make("deep_sea", size=size)
    model = table_of(env)
    q = exact.value_iteration(model, 1.0)
    assert q.max(-1)[0] == pytest.approx(0.99)
    way = np.arange(size) * (size + 1)  # the only way that is worth anything: right, always
    np.testing.assert_array_equal(q.argmax(-1)[way], np.asarray(env.params)[np.arange(size), np.arange(size)])
    uniform = exact.policy_value(model, np.full((len(model.start), 2), 0.5))
    assert uniform[0] == pytest.approx(0.5**size - 0.005)
    state, returned = jnp.int32(0), 0.0
    step = jax.jit(env.step)
    for i in range(size):
        state, obs, reward, terminated = step(jax.random.key(0), state, env.params[i, i], env.params)
        returned += float(reward)
        assert bool(terminated) == (i == size - 1)
    assert returned == pytest.approx(0.99, abs=1e-6) and int(obs) == size * size
    assert env.measure is not None and float(env.measure(state, env.params)["success"]) == 1.0


def test_the_deep_sea_steps_like_gymnax() -> None:
    """From every cell with both actions, under the same mapping of actions."""
    from gymnax.environments.bsuite.deep_sea import DeepSea

    theirs, env = DeepSea(size=6), envs.make("deep_sea", size=6, mapping_seed=3)
    params = theirs.default_params
    _, start = theirs.reset_env(jax.random.key(0), params)
    cells, actions = (axis.ravel() for axis in np.indices((36, 2)))

    def step(cell: Any, action: Any) -> Any:
        state = start.replace(row=cell // 6, column=cell % 6, action_mapping=jnp.asarray(env.params))
        return theirs.step_env(jax.random.key(0), state, action, params)

    seen, _, reward, terminated, _ = contracts.quick(jax.vmap(step))(cells, actions)
    _, obs, my_reward, my_terminated = steps_of(env, cells.astype(np.int32), actions)
    np.testing.assert_array_equal(np.eye(37)[obs][:, :36].reshape(-1, 6, 6), seen)
    np.testing.assert_allclose(my_reward, reward, atol=1e-7)
    np.testing.assert_array_equal(my_terminated, terminated)
    assert (my_terminated.sum(), (my_reward > 0).sum(), (my_reward < 0).sum()) == (12, 6, 30)


def test_the_actions_of_the_deep_sea_are_mapped_by_a_seed() -> None:
    first, again, other = (np.asarray(envs.make("deep_sea", mapping_seed=seed).params) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any() and set(first.ravel()) == {0, 1}
    assert (np.asarray(envs.make("deep_sea", randomize_actions=False).params) == 1).all()
    env = envs.make("deep_sea", size=4)
    states, actions = (axis.ravel() for axis in np.indices((16, 2)))
    after = steps_of(env, states, actions, 1 - env.params)[0]
    np.testing.assert_array_equal(after, steps_of(env, states, 1 - actions)[0])
    np.testing.assert_array_equal(after, table_of(env, 1 - env.params).next_state[states, actions, 0])


# --- the access-control queue ----------------------------------------------------------------------------------------


def transitions(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """(expected reward [S, A], probability of each next state [S, A, S])."""
    probability = np.asarray(model.probability)
    chances = np.zeros((*probability.shape[:2], probability.shape[0]))
    state, action, _ = np.indices(probability.shape)
    np.add.at(chances, (state, action, np.asarray(model.next_state)), probability)
    return (probability * np.asarray(model.reward)).sum(-1), chances


def test_every_customer_of_a_small_queue() -> None:
    """Three servers: every set of busy ones that can be done is counted by hand."""
    env = envs.make("access_control", num_servers=3, payments=(1.0, 5.0), free_probability=0.3)
    model = table_of(env)
    for free, priority, action in itertools.product(range(4), range(2), range(2)):
        taken = bool(action and free)
        busy, expected = 3 - free + taken, Outcomes()
        for done in itertools.product([True, False], repeat=busy):
            chance = np.prod([0.3 if each else 0.7 for each in done])
            for kind in range(2):
                outcome = ((free - taken + sum(done)) * 2 + kind, (1.0, 5.0)[priority] * taken, False)
                expected[outcome] = expected.get(outcome, 0.0) + chance / 2
        assert of_model(model, free * 2 + priority, action) == pytest.approx(expected)
    assert np.flatnonzero(model.start).tolist() == [6, 7] and env.max_steps is None


def test_the_best_policy_of_the_queue_keeps_servers_for_important_customers() -> None:
    """Relative value iteration against all policies that accept a priority from some number of free servers on."""
    model = table_of(envs.make("access_control"))
    reward, chances = transitions(model)
    bias = np.zeros(44)
    for _ in range(1000):
        q = reward + chances @ bias
        before, bias = bias, q.max(-1) - q.max(-1)[0]
    gain = float((q.max(-1) - before)[0])
    assert np.ptp(q.max(-1) - before) < 1e-9
    accepts = (q[:, 1] > q[:, 0] + 1e-9).reshape(11, 4)
    assert not accepts[0].any()
    thresholds = [int(np.flatnonzero(accepts[:, kind])[0]) if accepts[:, kind].any() else 11 for kind in range(4)]
    for kind in range(4):  # once there are enough free servers, more never turn a customer away
        assert accepts[:, kind].tolist() == [free >= thresholds[kind] for free in range(11)]

    free = np.arange(11)
    done = stats.binom.pmf(free - free[:, None], 10 - free[:, None], 0.06)
    found = {}
    for policy in itertools.product(range(1, 12), repeat=4):
        if sorted(policy, reverse=True) != list(policy):
            continue
        share = (free[:, None] >= policy).mean(1)  # of the customers that are taken at each number of free servers
        rows = (1 - share)[:, None] * done + share[:, None] * np.roll(done, 1, 0)
        stationary = np.linalg.lstsq(np.vstack([rows.T - np.eye(11), np.ones(11)]), np.eye(12)[11], rcond=None)[0]
        found[policy] = stationary @ ((free[:, None] >= policy) * [1, 2, 4, 8]).mean(1)
    best = max(found, key=lambda policy: found[policy])
    assert list(best) == thresholds == [11, 4, 1, 1]
    assert gain == pytest.approx(found[best]) == pytest.approx(2.7476, abs=1e-4)


def test_the_queue_goes_on_for_ever_and_pays_its_rate() -> None:
    env = envs.make("access_control")
    venv = vectorize(env, 256)

    def step(carry: Any, key: Any) -> Any:
        state, timestep = carry
        free, kind = jnp.divmod(timestep.obs.features, 4)
        accept = (free >= jnp.array([11, 4, 1, 1])[kind]).astype(jnp.int32)
        state, timestep = venv.step(key, state, accept, env.params)
        return (state, timestep), (timestep.reward.mean(), timestep.first.any())

    def run(key: Any) -> Any:
        return jax.lax.scan(step, venv.reset(key, env.params), jax.random.split(key, 1200))[1]

    rewards, first = jax.jit(run)(jax.random.key(0))
    assert not first.any()
    blocks = np.asarray(rewards)[200:].reshape(10, 100).mean(1)
    assert abs(blocks.mean() - 2.7476) < 4 * blocks.std(ddof=1) / np.sqrt(10)


# --- pictures, masks and mistakes ------------------------------------------------------------------------------------


def pictures(env: Environment, states: Any) -> np.ndarray:
    render: Callable[..., Any] = env.render  # type: ignore[assignment]
    return np.asarray(contracts.quick(jax.vmap(render, (0, None)))(states, env.params))


@pytest.mark.parametrize(
    "name", ["gridworld", "frozen_lake", "cliff_walking", "windy_gridworld", "dyna_maze", "blocking_maze", "four_rooms"]
)
def test_the_agent_is_drawn_in_its_cell(name: str) -> None:
    """Two pictures differ in the cells of their two agents, and nowhere else."""
    env = envs.make(name)
    num_cells = env.observation_space.n
    drawn = pictures(env, jnp.arange(num_cells))
    height, width = drawn.shape[1] // 16, drawn.shape[2] // 16
    assert height * width == num_cells
    tiles = drawn.reshape(num_cells, height, 16, width, 16, 3).swapaxes(2, 3).reshape(num_cells, num_cells, 16, 16, 3)
    for i in range(1, num_cells):
        assert np.flatnonzero((tiles[0] != tiles[i]).any((1, 2, 3))).tolist() == [0, i]


@pytest.mark.parametrize(
    ("name", "options", "num_states", "distinct"),
    [
        ("taxi", {}, 500, 500),
        ("taxi", {"fickle": True}, 1000, 500),  # a change of mind to come is not seen
        ("t_maze", {"length": 4}, 14, 12),  # the start is drawn as the first cell of the corridor
        ("random_walk", {}, 7, 7),
        ("short_corridor", {}, 4, 4),
        ("deep_sea", {"size": 5}, 27, 26),  # on the ground there is nobody to be seen
        ("access_control", {}, 44, 44),
    ],
)
def test_different_states_look_different(name: str, options: dict, num_states: int, distinct: int) -> None:
    env = envs.make(name, **options)
    drawn = pictures(env, jnp.arange(num_states))
    assert drawn.dtype == np.uint8 and len({picture.tobytes() for picture in drawn}) == distinct
    assert len(table_of(env).start) == num_states


def test_goals_are_drawn() -> None:
    states = State(jnp.array([0, 0, 5]), jnp.array([4, 5, 5]))
    drawn = pictures(envs.make("goal_grid", layout="..#/#.."), states)
    tiles = drawn.reshape(3, 2, 16, 3, 16, 3).swapaxes(2, 3).reshape(3, 6, 16, 16, 3)
    assert np.flatnonzero((tiles[0] != tiles[1]).any((1, 2, 3))).tolist() == [4, 5]
    assert np.flatnonzero((tiles[1] != tiles[2]).any((1, 2, 3))).tolist() == [0, 5]
    env = envs.make("bit_flipping", num_bits=3)
    state = env.reset(jax.random.key(0), ())[0]._replace(bits=jnp.array([True, False, True]), goal=jnp.arange(3) == 1)
    middles = pictures(env, jax.tree.map(lambda x: x[None], state))[0, 8::16, 8::16, 0]
    assert middles.tolist() == [[0, 255, 0], [255, 0, 255]]


def test_the_t_maze_draws_its_arms_and_its_verdict() -> None:
    """Green: the arm that the cue told, and at the junction the end of a right turn; red there: of a wrong one."""
    middles = pictures(envs.make("t_maze", length=4), jnp.array([0, 1, 6, 11, 12, 13]))[:, 8::16, 8::16]
    green, red, blue = (60, 170, 60), (220, 50, 47), (50, 100, 220)
    found = [{tuple(c): (i, j) for i, row in enumerate(m.tolist()) for j, c in enumerate(row)} for m in middles]
    assert [(each.get(green), each.get(blue), each.get(red)) for each in found] == [
        ((0, 4), (1, 0), None), ((2, 4), (1, 0), None), ((0, 4), (1, 4), None), ((2, 4), (1, 4), None),
        ((1, 4), None, None), (None, None, (1, 4)),
    ]  # fmt: skip


def test_taxi_draws_the_walls_that_stop_it() -> None:
    """Between two cells there is a wall exactly where the taxi cannot drive east; no wall lies south of a cell."""
    env = envs.make("taxi")
    model, drawn = table_of(env), pictures(env, jnp.zeros(1, jnp.int32))[0]
    wall = (drawn[8::16, 8::16] == (100, 100, 100)).all(-1)
    for cell in range(25):
        row, column = divmod(cell, 5)
        stopped = model.next_state[cell * 20, 2, 0] == cell * 20
        assert wall[1 + row, 2 + 2 * column] == stopped and not wall[1 + row, 1 + 2 * column]


def test_gridworld_tells_its_actions() -> None:
    env = envs.make("gridworld")
    assert ACTION_MEANINGS == ("UP", "RIGHT", "DOWN", "LEFT")
    lines = FOUR_BY_FOUR.split("/")
    for cell in range(15):
        assert valid_actions(env, cell) == [a for a in range(4) if walk(lines, cell, a) != cell]
    assert valid_actions(env, 0) == [RIGHT, DOWN] and valid_actions(env, 15) == []
    with pytest.raises(UsageError, match="valid actions are read from the model of a world: this one has none"):
        valid_actions(envs.make("quadratic"), 0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("windy_gridworld", {"moves": "queen"}, "unknown moves 'queen': expected one of four, king, king_and_stay"),
        ("blocking_maze", {"variant": "shortcuts"}, "unknown variant of blocking_maze 'shortcuts': did you mean short"),
        ("blocking_maze", {"change_at": -1}, "change_at is -1: expected at least 0"),
        ("dyna_maze", {"resolution": 0}, "resolution is 0: expected at least 1"),
        ("deep_sea", {"size": 0}, "size is 0: expected at least 1"),
        ("deep_sea", {"size": 4.5}, "option size of deep_sea is 4.5: expected int, like its default 8"),
        ("random_walk", {"num_states": 0}, "num_states is 0: expected at least 1"),
        ("random_walk", {"jump": 0}, "jump is 0: expected at least 1"),
        ("random_walk", {"observation": "onehot"}, "unknown observation 'onehot': did you mean one_hot?"),
        ("four_rooms", {"goals": "randm"}, "unknown goals 'randm': did you mean random?"),
        ("four_rooms", {"goal": (0, 0)}, "goal is (0, 0): expected the row and the column, from 0 on, of a cell that"),
        ("four_rooms", {"goal": (13, 1)}, "goal is (13, 1): expected the row and the column, from 0 on, of a cell"),
        ("four_rooms", {"goal": (-2, 1)}, "goal is (-2, 1): expected the row and the column, from 0 on, of a cell"),
        ("four_rooms", {"goal": (7,)}, "goal is (7,): expected the row and the column, from 0 on, of a cell that is"),
        ("four_rooms", {"success_rate": 2.0}, "success_rate is 2.0: expected a number from 0 to 1"),
        ("goal_grid", {"layout": "..\n.x"}, "the map has 'x' in line 2, column 2: expected # wall, . free cell"),
        ("goal_grid", {"layout": "###"}, "the map has no free cell: expected at least one ."),
        ("goal_grid", {"layout": "#.#"}, "the map has one free cell: expected at least two, one to start from and"),
        ("goal_grid", {"max_steps": 0}, "max_steps is 0: expected at least 1"),
        ("bit_flipping", {"num_bits": 0}, "num_bits is 0: expected at least 1"),
        ("bit_flipping", {"max_steps": 0}, "max_steps is 0: expected at least 1"),
        ("access_control", {"num_servers": 0}, "num_servers is 0: expected at least 1"),
        ("access_control", {"payments": ()}, "number of payments is 0: expected at least 1"),
        ("access_control", {"free_probability": 1.5}, "free_probability is 1.5: expected a number from 0 to 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make(name, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_walls_hold_and_moves_stray() -> None:
    letters = np.array([list(".#"), list("..")])
    assert grid.walled(letters, grid.FOUR).tolist() == [[0, 0, 2, 0], [1, 1, 3, 0], [0, 3, 2, 2], [3, 3, 3, 2]]
    probability, cell = grid.strays(grid.walled(letters, grid.FOUR), 0.4)
    np.testing.assert_allclose(probability, np.full((4, 4), 0.2) + 0.2 * np.eye(4))
    assert cell[2].tolist() == [[0, 3, 2, 2]] * 4
