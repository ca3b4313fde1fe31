"""The commons and the coin game by their rules in plain Python; nothing is lost and nobody leaves the map, anywhere."""

import collections
import functools
import itertools
from typing import Any

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from multi_rules import KEY, beside, stacked, stepped, windows
from scipy import stats

from jaxrl import envs
from jaxrl.envs.multi import coin_game, commons
from jaxrl.errors import UsageError
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

# --- the commons ---------------------------------------------------------------------------------------------------

LAND = ["RW.#A", "WR.aA", "RW.Aa", "RR.AA"]
TALL, WIDE = 4, 5
LETTERS = "".join(LAND)
TREES = [cell for cell in range(20) if LETTERS[cell] in "Aa"]
RIVER = [cell for cell in range(20) if LETTERS[cell] in "RW"]


@functools.cache
def small_commons() -> Environment:
    return envs.make("commons", layout="/".join(LAND), num_agents=3, sight=1)


def nearby(cell: int) -> set[int]:
    """The cell itself and the eight around it."""
    ring = beside(cell, TALL, WIDE, [pair for pair in itertools.product((-1, 0, 1), repeat=2)])
    return {place for place in ring if place is not None}


def harvest(row: Any, action: list[int], events: collections.Counter) -> Any:
    """(agents, apples and pollution left before anything grows, reward) of a step of the commons."""
    agents, (apples, polluted) = list(row[0]), (list(part) for part in np.split(row[1], [len(TREES)]))
    wanted = []
    for cell, act in zip(agents, action, strict=True):
        way = beside(cell, TALL, WIDE)[act] if act < 4 else cell
        wall = way is not None and LETTERS[way] == "#"
        occupied = way is not None and way != cell and way in agents
        events["edge"] += way is None
        events["wall"] += wall
        events["occupied"] += occupied
        wanted.append(cell if way is None or wall or occupied else way)
    after = [cell if wanted.count(cell) == 1 else old for cell, old in zip(wanted, agents, strict=True)]
    events["clash"] += len(set(wanted)) < 3
    reward = [float(cell in TREES and apples[TREES.index(cell)]) for cell in after]
    events["eaten"] += int(sum(reward))
    apples = [apple and cell not in after for apple, cell in zip(apples, TREES, strict=True)]
    cleans = set().union(*(nearby(cell) for cell, act in zip(after, action, strict=True) if act == 5), set())
    clean = [dirt and cell not in cleans for dirt, cell in zip(polluted, RIVER, strict=True)]
    events["cleaned"] += sum(polluted) - sum(clean)
    return after, apples, clean, reward


def land_states(n: int) -> tuple[Any, list[Any], np.ndarray]:
    generator, floor = np.random.default_rng(3), [cell for cell in range(20) if LETTERS[cell] != "#"]
    rows = []
    for _ in range(n):
        agents = generator.permutation(floor)[:3].astype(np.int32)
        chances = np.repeat([0.5, generator.random()], [len(TREES), len(RIVER)])
        ground = generator.random(len(chances)) < chances
        rows.append((agents, ground, generator.integers(5, size=3).astype(np.int32)))
    return stacked(commons.State, rows), rows, generator.choice(6, (n, 3), p=[0.16] * 5 + [0.2])


@pytest.mark.parametrize("regrowth", [(0.0, 1.0, 0.0, 1.0), (1.0, 0.0, 1.0, 0.0)])
def test_commons_keep_their_rules(regrowth: tuple[float, ...]) -> None:
    """With probabilities 0 and 1, and nothing to mind in the river, growth is certain; pollution falls anywhere."""
    states, rows, actions = land_states(4000)
    params = commons.Params(np.float32(regrowth), np.float32(1.0), np.float32(1e9))
    after, obs, reward, terminated = stepped(small_commons, states, actions, params)
    events: collections.Counter = collections.Counter()
    for i, row in enumerate(rows):
        agents, apples, clean, gain = harvest(row, actions[i].tolist(), events)
        assert after.agents[i].tolist() == agents and reward[i].tolist() == gain
        assert after.eaten[i].tolist() == [old + int(new) for old, new in zip(row[2], gain, strict=True)]
        standing = {cell for cell, apple in zip(TREES, apples, strict=True) if apple}
        grown = []
        for cell, apple in zip(TREES, apples, strict=True):
            around = min(len(nearby(cell) & standing), 3)
            grows = not apple and cell not in agents and regrowth[around] == 1.0
            events[f"grown with {around} around"] += grows
            grown.append(apple or grows)
        assert after.ground[i, : len(TREES)].tolist() == grown
        dirty = after.ground[i, len(TREES) :]
        spoilt = np.flatnonzero(dirty != np.array(clean))
        assert len(spoilt) == (0 if all(clean) else 1) and dirty[spoilt].all()
        events["spoilt"] += len(spoilt)
        layers = [{c for c, apple in zip(TREES, grown, strict=True) if apple}, set(agents), {-1, 3}]
        layers.append({c for c, dirt in zip(RIVER, dirty, strict=True) if dirt})
        np.testing.assert_array_equal(obs.features[i], windows(agents, layers, (TALL, WIDE), 1))
        assert obs.state[i].tolist() == [[*agents, *grown, *dirty.tolist()]] * 3
    assert not terminated.any()
    wanted = [f"grown with {n} around" for n in range(4) if regrowth[n]]
    for event in ("edge", "wall", "occupied", "clash", "eaten", "cleaned", "spoilt", *wanted):
        assert events[event] >= 50, (event, events)


def test_apples_grow_as_likely_as_the_river_is_clean() -> None:
    """Over many steps from one state: the chance by neighbours, the part that pollution takes, which cell it hits."""
    draws, regrowth = 20_000, (0.1, 0.2, 0.3, 0.4)
    trees, ground = len(TREES), np.zeros(len(TREES) + len(RIVER), bool)
    ground[[0, 2, trees]] = True  # apples on the cells 4 and 9, and one polluted cell
    state = commons.State(np.int32([2, 7, 12]), ground, np.zeros(3, np.int32))
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (draws, *x.shape)), state)
    params = commons.Params(np.float32(regrowth), np.float32(0.5), np.float32(0.25))
    after, *_ = stepped(small_commons, states, np.full((draws, 3), 4), params)
    expected = [regrowth[len(nearby(cell) & {4, 9})] * (1 - (1 / 8) / 0.25) for cell in TREES]
    assert len(set(expected)) == 3
    for cell, chance, grown in zip(TREES, expected, after.ground[:, :trees].mean(0), strict=True):
        assert grown == 1.0 if cell in (4, 9) else abs(grown - chance) < 4 * (chance / draws) ** 0.5
    hits = after.ground[:, trees + 1 :].sum(0)
    assert stats.binomtest(int(hits.sum()), draws, 0.5).pvalue > 0.001 and stats.chisquare(hits).pvalue > 0.001
    spoilt = states._replace(ground=states.ground.at[:, trees + 1].set(True))
    after, *_ = stepped(small_commons, spoilt, np.full((draws, 3), 4), params)
    assert (after.ground == np.asarray(spoilt.ground)).all()  # at the threshold all stops


def test_commons_measure_what_was_shared() -> None:
    env = small_commons()
    ground = np.isin(np.arange(len(TREES) + len(RIVER)), [0, 1, 2, len(TREES), len(TREES) + 1])
    state = commons.State(np.int32([2, 7, 12]), ground, np.int32([6, 0, 0]))
    measured = {name: float(value) for name, value in env.measure(state, env.params).items()}
    assert measured == pytest.approx({"apples": 3, "eaten": 6, "equality": 1 / 3, "polluted": 0.25})
    for eaten, equality in (([0, 0, 0], 1.0), ([2, 2, 2], 1.0), ([3, 3, 0], 1 - 1 / 3)):
        measured = env.measure(state._replace(eaten=np.int32(eaten)), env.params)
        assert float(measured["equality"]) == pytest.approx(equality)
    assert env.action_space.n == 6 and envs.make("commons").action_space.n == 5
    cleanup = envs.make("commons", layout="cleanup", regrowth=(0.05,) * 4)
    state, _ = cleanup.reset(KEY, cleanup.params)
    measured = {name: float(value) for name, value in cleanup.measure(state, cleanup.params).items()}
    assert measured == pytest.approx({"apples": 0, "eaten": 0, "equality": 1, "polluted": 0.5})
    assert cleanup.action_space.n == 6


# --- the coin game -------------------------------------------------------------------------------------------------


@functools.cache
def small_coin() -> Environment:
    return envs.make("coin_game", size=3)


def test_coin_game_keeps_its_rules() -> None:
    """All places of the players and the coin, both colours, all joint actions: 9 * 9 * 9 * 2 * 25 cases."""
    cases = list(itertools.product(range(9), range(9), range(9), range(2), range(5), range(5)))
    cells = np.array(cases, np.int32)
    states = coin_game.State(
        *map(jnp.asarray, (cells[:, :2], cells[:, 2], cells[:, 3], np.zeros((len(cells), 2), np.int32)))
    )
    after, obs, reward, terminated = stepped(small_coin, states, cells[:, 4:])
    moves, events = ((-1, 0), (0, 1), (1, 0), (0, -1), (0, 0)), collections.Counter()
    for i, (red, blue, coin, colour, *action) in enumerate(cases):
        reached = []
        for cell, act in zip((red, blue), action, strict=True):
            row, column = cell // 3 + moves[act][0], cell % 3 + moves[act][1]
            events["edge"] += not (0 <= row < 3 and 0 <= column < 3)
            reached.append(row % 3 * 3 + column % 3)
        takes = [cell == coin for cell in reached]
        gain = [float(take) for take in takes]
        gain[colour] -= 2.0 * takes[1 - colour]
        for name, happened in (("own", takes[colour]), ("other", takes[1 - colour]), ("both", all(takes))):
            events[name] += happened
        assert after.players[i].tolist() == reached and reward[i].tolist() == gain
        assert after.taken[i].tolist() == [takes[colour], takes[1 - colour]]
        if any(takes):
            assert after.coin[i] not in reached
        else:
            assert (after.coin[i], after.colour[i]) == (coin, colour)
    assert (events["own"], events["other"], events["both"]) == (4050, 4050, 450) and events["edge"] > 1000
    assert not terminated.any()
    for player in range(2):
        planes = [after.players[:, player], after.players[:, 1 - player]]
        planes += [np.where(after.colour == owner, after.coin, -1) for owner in (player, 1 - player)]
        seen = np.stack([plane[:, None] == np.arange(9) for plane in planes], -1).reshape(-1, 3, 3, 4)
        np.testing.assert_array_equal(obs.features[:, player], seen)


def test_a_taken_coin_comes_back_anywhere_free_in_either_colour() -> None:
    draws = 16_000
    rows = (np.int32([0, 8]), np.int32(1), np.int32(0), np.zeros(2, np.int32))
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (draws, *x.shape)), coin_game.State(*rows))
    after, *_ = stepped(small_coin, states, np.tile([1, 4], (draws, 1)))  # player 0 steps onto it
    counts = collections.Counter(zip(after.coin.tolist(), after.colour.tolist(), strict=True))
    assert set(counts) == {(cell, colour) for cell in (0, 2, 3, 4, 5, 6, 7) for colour in (0, 1)}
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


# --- all of them ---------------------------------------------------------------------------------------------------

STAYING: dict[str, tuple[int, dict[str, Any]]] = {  # small, so that much happens: number of cells, options
    "pursuit": (25, {"size": 5, "num_agents": 6, "num_prey": 2}),
    "level_based_foraging": (25, {"size": 5, "max_level": 1}),
    "switch": (21, {}),
    "commons": (128, {"regrowth": (0.05, 0.05, 0.05, 0.05)}),
    "coin_game": (25, {}),
}


@functools.cache
def long_walk(name: str) -> Any:
    """10 000 random steps, as 8 rows of 1250; leaves [T, N, ...]."""
    env = envs.make(name, **STAYING[name][1])
    taken = contracts.quick(lambda key: contracts.random_walk(env, key, 1250, 8))(KEY)
    return jax.tree.map(np.asarray, taken._replace(key=()))


@pytest.mark.parametrize("name", STAYING)
def test_nobody_leaves_the_map_and_nothing_is_lost(name: str) -> None:
    before, after, reward = long_walk(name).state, long_walk(name).after[0], long_walk(name).after[2]
    cells = STAYING[name][0]
    bodies = after if name == "switch" else after[0]
    assert bodies.min() == 0 and bodies.max() == (cells if name == "pursuit" else cells - 1)
    if name == "pursuit":
        everyone = np.concatenate([after.hunters, after.prey], -1)
        left = np.sort(np.where(everyone == cells, -1 - np.arange(everyone.shape[-1]), everyone), -1)
        assert (left[..., 1:] != left[..., :-1]).all()
        caught, gone = (
            (now == cells).sum(-1) - (then == cells).sum(-1)
            for now, then in zip(after[::-1], before[::-1], strict=True)
        )
        assert caught.sum() > 30 and (gone >= 2 * (caught > 0)).all() and (gone[caught == 0] == 0).all()
        np.testing.assert_array_equal(reward[..., 0], 10.0 * caught)
    if name == "level_based_foraging":
        np.testing.assert_array_equal(after.foods, before.foods)
        lost = before.food_levels - after.food_levels
        assert ((lost == 0) | (after.food_levels == 0)).all() and (lost > 0).sum() > 20
        np.testing.assert_allclose(reward.sum(-1), lost.sum(-1) / before.worth, rtol=1e-5)
    if name in ("switch", "commons"):
        ordered = np.sort(bodies, -1)
        assert (ordered[..., 1:] != ordered[..., :-1]).all()
    if name == "commons":
        np.testing.assert_array_equal(after.eaten - before.eaten, reward)
        assert reward.sum() > 500
    if name == "coin_game":
        taken = after.taken.sum(-1)
        assert (taken > 0).sum() > 300
        np.testing.assert_allclose(reward.sum(-1), taken - 2.0 * after.taken[..., 1])


@pytest.mark.parametrize("name", ["pursuit", "level_based_foraging", "switch", "commons"])
def test_all_edges_hold(name: str) -> None:
    """All agents are driven in each direction for long: they end up along that edge, and stay on the map."""
    env = envs.make(name)
    env = envs.make(name, num_agents=4) if name == "switch" else env
    height, width = {"pursuit": (10, 10), "level_based_foraging": (8, 8), "switch": (3, 7), "commons": (8, 16)}[name]
    north, east, south, west = {"switch": (2, 3, 0, 1), "level_based_foraging": (1, 4, 2, 3)}.get(name, range(4))
    step, starts = contracts.quick(env.step), contracts.quick(env.reset)(KEY, env.params)[0]
    for action, edge in ((north, 0), (south, height - 1), (west, 0), (east, width - 1)):
        state, touched = starts, set()
        for key in jax.random.split(KEY, 20):
            state = step(key, state, jnp.full(env.num_agents, action), env.params)[0]
            bodies = np.asarray(state if name == "switch" else state[0])
            assert ((bodies >= 0) & (bodies < height * width)).all()
            lines = bodies // width if action in (north, south) else bodies % width
            touched |= set(lines.tolist())
        assert edge in touched


def test_hunters_who_have_left_are_done_before_the_episode_ends() -> None:
    """They are terminated, no longer valid, can only stay and see nothing, while the others go on."""
    env = envs.make("pursuit", size=4, num_agents=4, num_prey=4, max_steps=60)
    venv = vectorize(env, 32)
    step, (state, timestep) = contracts.quick(venv.step), contracts.quick(venv.reset)(KEY, ())
    dead_and_others_alive, ended_dead = 0, 0
    for key in jax.random.split(KEY, 150):
        act_key, step_key = jax.random.split(key)
        legal = timestep.obs.legal
        action = jnp.where(legal[..., 5], 5, jax.random.categorical(act_key, jnp.where(legal, 0.0, -jnp.inf)))
        dead = ~np.asarray(state.alive)
        assert (np.asarray(legal)[dead] == [False, False, False, False, True, False]).all()
        assert not np.asarray(timestep.obs.features)[dead].any()
        state, timestep = step(step_key, state, action, ())
        np.testing.assert_array_equal(timestep.valid, ~dead)
        assert np.asarray(timestep.terminated)[dead].all()
        all_gone = np.asarray(timestep.terminated).all(1)
        opened = np.asarray(timestep.first)[:, 0]
        np.testing.assert_array_equal(opened, all_gone | np.asarray(timestep.truncated).any(1))
        dead_and_others_alive += (dead.any(1) & ~opened).sum()
        ended_dead += (dead.any(1) & all_gone).sum()
    assert dead_and_others_alive > 100 and ended_dead > 20


@pytest.mark.parametrize(
    "name", [*STAYING, "switch_riddle", "tic_tac_toe", "connect_four", "climbing_game", "two_step_game"]
)
def test_pictures_show_the_state(name: str) -> None:
    """Pictures of different states differ, and have whole tiles."""
    env = envs.make(name)
    states = jax.tree.map(lambda x: x[:, 0], contracts.walk(name).after[0])
    pictures = np.asarray(jax.jit(jax.vmap(env.render, (0, None)))(states, env.params))
    assert pictures.dtype == np.uint8 and pictures.shape[-1] == 3 and not any(side % 16 for side in pictures.shape[1:3])
    assert len({picture.tobytes() for picture in pictures}) >= (3 if name in ("two_step_game", "switch_riddle") else 8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pursuit", {"size": 3}, "size is 3: expected a map with at least as many cells as 8 hunters and 8 prey"),
        ("pursuit", {"num_agents": 1}, "num_agents is 1: expected at least 2"),
        ("pursuit", {"needed": 0}, "needed is 0: expected at least 1"),
        ("level_based_foraging", {"size": 2}, "size is 2: expected at least 3"),
        ("level_based_foraging", {"max_level": 0}, "max_level is 0: expected at least 1"),
        ("level_based_foraging", {"size": 4, "num_agents": 20}, "size is 4: expected a map with more than 20 cells"),
        ("switch", {"num_agents": 5}, "num_agents is 5: expected a number from 2 to 4"),
        ("commons", {"layout": "A.B"}, "the map has 'B' in line 1, column 3: expected A apple, "),
        ("commons", {"layout": "....."}, "the map has no orchard: expected at least one A or a"),
        (
            "commons",
            {"layout": "A..", "num_agents": 3},
            "num_agents is 3: expected at most 2, the free cells of the map",
        ),
        ("commons", {"regrowth": (0.1,)}, "regrowth has 1 numbers: expected 4, for 0, 1, 2 and 3 apples around"),
        ("commons", {"depletion": 0.0}, "depletion is 0.0: expected a share above 0, up to 1"),
        ("coin_game", {"size": 1}, "size is 1: expected at least 2"),
        ("switch_riddle", {"num_agents": 2}, "num_agents is 2: expected at least 3"),
        ("penalty_game", {"k": 3.0}, "k is 3.0: expected a penalty, 0 at most"),
        ("climbing_game", {"rounds": 0}, "rounds is 0: expected at least 1"),
        ("prisoners_dilemma", {"payoffs": ((1.0, 2.0),)}, "payoffs have shape (1, 2): expected (2, 2)"),
        ("rock_paper_scissors", {"payoffs": (1.0, 0.0, 1.0)}, "payoffs are (1.0, 0.0, 1.0): expected three positive"),
        ("tic_tac_toe", {"size": 4}, "unknown option of tic_tac_toe 'size': expected one of none at all"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make(name, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
