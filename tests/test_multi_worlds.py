"""Gridworlds of several agents against rules written down a second time in plain Python, event by event."""

import collections
import functools
import heapq
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
from jaxrl.envs.multi import level_based_foraging as foraging
from jaxrl.envs.multi import pursuit as pursuit_file
from jaxrl.envs.multi.switch import HOMES, STARTS
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

# --- pursuit -------------------------------------------------------------------------------------------------------

SIZE, HUNTERS, PREY = 4, 4, 3
GONE = SIZE * SIZE


@functools.cache
def small_pursuit() -> Environment:
    return envs.make("pursuit", size=SIZE, num_agents=HUNTERS, num_prey=PREY, penalty=-1.5)


def hunt(hunters: list[int], prey: list[int], action: list[int], events: collections.Counter) -> Any:
    """(hunters, prey before they flee, reward, legal actions) by the rules of `pursuit`."""
    bodies = {cell for cell in hunters + prey if cell != GONE}
    legal, wanted = [], []
    for cell, act in zip(hunters, action, strict=True):
        ways = [None] * 4 if cell == GONE else beside(cell, SIZE, SIZE)
        free = [way is not None and way not in bodies for way in ways]
        legal.append([*free, True, any(way in prey for way in ways if way is not None)])
        way = ways[act] if act < 4 else None
        events["edge"] += act < 4 and way is None and cell != GONE
        events["occupied"] += way in bodies
        wanted.append(way if way is not None and way not in bodies else cell)
    moved = []
    for i, cell in enumerate(wanted):
        clash = cell != hunters[i] and wanted.count(cell) > 1
        events["clash"] += clash
        events["moved"] += cell != hunters[i] and not clash
        moved.append(hunters[i] if clash else cell)
    reward, left, caught, hunting, catchers = 0.0, list(moved), set(), set(), set()
    for j, cell in enumerate(prey):
        if cell == GONE:
            continue
        around = {i for i in range(len(moved)) if action[i] == 5 and moved[i] != GONE}
        around = {i for i in around if cell in beside(moved[i], SIZE, SIZE)}
        hunting |= around
        if len(around) >= 2:
            caught.add(j)
            catchers |= around
            events["caught by 3"] += len(around) == 3
    reward = 10.0 * len(caught) - 1.5 * len(hunting - catchers)
    events["caught"] += len(caught)
    events["two at once"] += len(caught) == 2
    events["failed"] += len(hunting - catchers)
    left = [GONE if i in catchers else cell for i, cell in enumerate(moved)]
    return left, [GONE if j in caught else cell for j, cell in enumerate(prey)], reward, legal


def test_pursuit_keeps_its_rules() -> None:
    generator, rows, actions = np.random.default_rng(0), [], []
    for _ in range(4000):
        bodies = generator.permutation(GONE)[: HUNTERS + PREY]
        leaves = generator.random(HUNTERS + PREY) < [0.1] * HUNTERS + [0.4] * PREY
        bodies = np.where(leaves, GONE, bodies).astype(np.int32)
        rows.append((bodies[:HUNTERS], bodies[HUNTERS:]))
        actions.append(generator.choice(6, HUNTERS, p=[0.11] * 4 + [0.06, 0.5]))
    states = stacked(pursuit_file.State, rows)
    after, obs, reward, terminated = stepped(small_pursuit, states, actions)
    legal = np.asarray(jax.jit(jax.vmap(small_pursuit().legal_actions, (0, None)))(states, ()))
    events: collections.Counter = collections.Counter()
    for i, (hunters, prey) in enumerate(rows):
        left, fleeing, gain, allowed = hunt(hunters.tolist(), prey.tolist(), list(actions[i]), events)
        assert after.hunters[i].tolist() == left and legal[i].tolist() == allowed
        np.testing.assert_allclose(reward[i], gain, rtol=1e-6)
        flee(left, fleeing, after.prey[i].tolist(), events)
        over = all(cell == GONE for cell in fleeing)
        events["over"] += over
        assert terminated[i].tolist() == [over or cell == GONE for cell in left]
        layers = [{cell for cell in group if cell != GONE} for group in (left, after.prey[i].tolist())]
        seen = windows(left, layers, (SIZE, SIZE), 2)
        seen[np.array(left) == GONE] = 0
        np.testing.assert_array_equal(obs.features[i], seen)
        assert obs.state[i].tolist() == [left + after.prey[i].tolist()] * HUNTERS
    for event in ("edge", "occupied", "clash", "moved", "caught", "failed", "fled", "shut in", "prey clash"):
        assert events[event] >= 100, (event, events)
    assert min(events["caught by 3"], events["two at once"], events["over"]) >= 10, events


def flee(hunters: list[int], before: list[int], after: list[int], events: collections.Counter) -> None:
    """Prey step to a free cell beside them, unless there is none or another prey may want the same."""
    bodies = {cell for cell in hunters + before if cell != GONE}
    free = [
        {w for w in beside(c, SIZE, SIZE) if w is not None and w not in bodies} if c != GONE else set() for c in before
    ]
    for j, (old, new) in enumerate(zip(before, after, strict=True)):
        if new != old:
            events["fled"] += 1
            assert new in free[j]
            continue
        events["shut in"] += not free[j] and old != GONE
        if free[j]:
            events["prey clash"] += 1
            others = [free[k] for k in range(len(before)) if k != j and before[k] == after[k]]
            assert any(free[j] & other for other in others)
    living = [cell for cell in hunters + after if cell != GONE]
    assert len(set(living)) == len(living)


def test_prey_flee_to_every_free_cell_alike() -> None:
    draws = 12_000
    state = pursuit_file.State(
        jnp.tile(jnp.int32([GONE, 1, 15, 14]), (draws, 1)), jnp.tile(jnp.int32([5, GONE, 0]), (draws, 1))
    )
    after, *_ = stepped(small_pursuit, state, np.full((draws, HUNTERS), 4))
    counts = collections.Counter(after.prey[:, 0].tolist())
    assert set(counts) == {5, 6, 9}  # the prey in the corner always wants 4: who wants it too stays at 5
    assert stats.chisquare([counts[cell] for cell in (5, 6, 9)]).pvalue > 0.001


# --- level-based foraging ------------------------------------------------------------------------------------------

FIELD = 5
NORTH_SOUTH_WEST_EAST = ((-1, 0), (1, 0), (0, -1), (0, 1))


@functools.cache
def small_foraging() -> Environment:
    return envs.make("level_based_foraging", size=FIELD, num_agents=3, num_foods=2, sight=2, penalty=0.25)


def forage(state: Any, action: list[int], events: collections.Counter) -> Any:
    agents, foods, levels, food_levels, worth = (np.array(each).tolist() for each in state)
    field = {cell: level for cell, level in zip(foods, food_levels, strict=True) if level}
    ways = [beside(cell, FIELD, FIELD, NORTH_SOUTH_WEST_EAST) for cell in agents]
    legal, bound = [], []
    for cell, way, act in zip(agents, ways, action, strict=True):
        moves = [place is not None and place not in field for place in way]
        legal.append([True, *moves, any(place in field for place in way)])
        events["edge"] += 1 <= act <= 4 and way[act - 1] is None
        events["barred by food"] += 1 <= act <= 4 and way[act - 1] in field
        events["no food to load"] += act == 5 and not legal[-1][5]
        bound.append(way[act - 1] if 1 <= act <= 4 and moves[act - 1] else cell)
    after = [cell if bound.count(cell) == 1 else agents[i] for i, cell in enumerate(bound)]
    events["clash"] += len(set(bound)) < len(bound)
    events["moved"] += after != agents
    events["swapped"] += any(after[i] == agents[j] and after[j] == agents[i] for i, j in ((0, 1), (0, 2), (1, 2)))
    events["two in a cell"] += len(set(after)) < 3
    reward, left = [0.0] * 3, list(food_levels)
    for f, cell in enumerate(foods):
        loading = [i for i in range(3) if action[i] == 5 and cell in ways[i] and food_levels[f]]
        together = sum(levels[i] for i in loading)
        if loading and together >= food_levels[f]:
            left[f] = 0
            events[f"loaded by {len(loading)}"] += 1
            for i in loading:
                reward[i] += levels[i] * food_levels[f] / (together * worth)
        elif loading:
            events["not enough"] += 1
            for i in loading:
                reward[i] -= 0.25
    return after, left, reward, legal


def looked(
    agents: list[int], levels: list[int], foods: list[int], food_levels: list[int], sight: int
) -> list[list[int]]:
    """What each agent sees: the foods within its window, then itself and the others, from the window's corner."""
    rows = []
    for i, (row, column) in enumerate(divmod(cell, FIELD) for cell in agents):
        top, left = max(row - sight, 0), max(column - sight, 0)
        seen = []
        for cell, level in sorted(zip(foods, food_levels, strict=True)):
            r, c = divmod(cell, FIELD)
            if level and abs(r - row) <= sight and abs(c - column) <= sight:
                seen += [r - top, c - left, level]
        seen += [-1, -1, 0] * (len(foods) - len(seen) // 3)
        for j in [i] + [j for j in range(len(agents)) if j != i]:
            r, c = (place - corner for place, corner in zip(divmod(agents[j], FIELD), (top, left), strict=True))
            if 0 <= r <= 2 * sight and 0 <= c <= 2 * sight:
                seen += [r, c, levels[j]]
        rows.append(seen + [-1, -1, 0] * (len(foods) + len(agents) - len(seen) // 3))
    return rows


def foraging_states(generator: np.random.Generator, n: int) -> list[Any]:
    """Starts of the world's own, some foods gone, the agents put close to the foods or close to each other."""
    env = small_foraging()
    starts = jax.tree.map(np.array, jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(KEY, n), ())[0])
    rows = []
    for i in range(n):
        foods, levels = starts.foods[i], np.where(generator.random(2) < 0.2, 0, starts.food_levels[i])
        crowd = [int(generator.integers(FIELD**2))] if i % 2 else [cell for cell in foods if cell < FIELD**2]
        near = {place for cell in crowd for place in (*beside(cell, FIELD, FIELD), cell)} - {None, *foods.tolist()}
        agents = generator.choice(sorted(near | {0, 4}), 3, replace=False).astype(np.int32)
        rows.append((agents, foods, starts.agent_levels[i], levels.astype(np.int32), starts.worth[i]))
    return rows


def test_foraging_keeps_its_rules() -> None:
    generator = np.random.default_rng(1)
    rows = foraging_states(generator, 5000)
    loads = generator.random((len(rows), 3)) < np.where(np.arange(len(rows)) % 2, 0.1, 0.6)[:, None]
    actions = np.where(loads, 5, generator.integers(6, size=loads.shape))
    states, env = stacked(foraging.State, rows), small_foraging()
    after, obs, reward, terminated = stepped(small_foraging, states, actions)
    legal = np.asarray(jax.jit(jax.vmap(env.legal_actions, (0, None)))(states, ()))
    events: collections.Counter = collections.Counter()
    for i, row in enumerate(rows):
        agents, left, gain, allowed = forage(row, actions[i].tolist(), events)
        assert after.agents[i].tolist() == agents and after.food_levels[i].tolist() == left
        assert legal[i].tolist() == allowed and terminated[i].tolist() == [not any(left)] * 3
        np.testing.assert_allclose(reward[i], gain, rtol=1e-6, atol=1e-7)
        events["over"] += not any(left)
        seen = looked(agents, row[2].tolist(), row[1].tolist(), left, sight=2)
        assert obs.features[i].tolist() == seen
    named = (
        "edge",
        "barred by food",
        "no food to load",
        "clash",
        "moved",
        "loaded by 1",
        "loaded by 2",
        "over",
    )
    for event in (*named, "not enough"):
        assert events[event] >= 50, (event, events)
    assert min(events["loaded by 3"], events["swapped"], events["two in a cell"]) >= 10, events


@pytest.mark.parametrize("cooperative", [False, True])
def test_foraging_starts_as_it_says(cooperative: bool) -> None:
    env = envs.make("level_based_foraging", size=8, num_agents=3, num_foods=3, max_level=3, cooperative=cooperative)
    starts, obs = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(KEY, 2000), ())
    starts = jax.tree.map(np.asarray, starts)
    lowest = np.sort(starts.agent_levels, axis=1)[:, :3].sum(1)
    assert set(np.unique(starts.agent_levels)) == {1, 2, 3} and (starts.food_levels >= 1).all()
    assert (starts.food_levels == lowest[:, None]).all() if cooperative else (starts.food_levels.max(1) <= lowest).all()
    if not cooperative:
        assert set(np.unique(starts.food_levels)) == set(range(1, 10))
    np.testing.assert_array_equal(starts.worth, starts.food_levels.sum(1))
    rows, columns = np.divmod(starts.foods, 8)
    assert set(np.unique(rows)) == set(np.unique(columns)) == set(range(1, 7))
    for a, b in itertools.combinations(range(3), 2):
        down, right = abs(rows[:, a] - rows[:, b]), abs(columns[:, a] - columns[:, b])
        assert not ((np.maximum(down, right) <= 1) | ((down == 0) & (right <= 2)) | ((right == 0) & (down <= 2))).any()
    bodies = np.hstack([starts.agents, starts.foods])
    assert (np.sort(bodies, 1)[:, 1:] != np.sort(bodies, 1)[:, :-1]).all() and set(np.unique(starts.agents)) == set(
        range(64)
    )
    assert stats.chisquare(np.bincount(starts.agents[:, 0], minlength=64)).pvalue > 0.001
    assert obs.features.shape == (2000, 3, 18)


# --- the two rooms -------------------------------------------------------------------------------------------------

ROOMS = ["..   ..", ".......", "..   .."]


def walk_rooms(cells: tuple[int, ...], action: tuple[int, ...], events: collections.Counter) -> Any:
    after, reward = list(cells), []
    for i, act in enumerate(action):
        if after[i] == HOMES[i]:
            reward.append(0.0)
            continue
        way = [*beside(after[i], 3, 7, ((1, 0), (0, -1), (-1, 0), (0, 1))), after[i]][act]
        wall = way is not None and ROOMS[way // 7][way % 7] == " "
        events["edge"] += way is None
        events["wall"] += wall
        events["in the way"] += act != 4 and way in after
        events["followed"] += way in cells and way not in after
        if way is not None and not wall and way not in after:
            after[i] = way
        events["home"] += after[i] == HOMES[i]
        reward.append(5.0 if after[i] == HOMES[i] else -0.1)
    return tuple(after), reward


@pytest.mark.parametrize("num_agents", [2, 4])
def test_switch_keeps_its_rules(num_agents: int) -> None:
    """Two agents in all states and actions; four in random ones."""
    floor, generator = [cell for cell in range(21) if ROOMS[cell // 7][cell % 7] == "."], np.random.default_rng(2)
    if num_agents == 2:
        moves = list(itertools.product(range(5), repeat=2))
        pairs = [(cells, action) for cells in itertools.permutations(floor, 2) for action in moves]
    else:
        pairs = []
        for _ in range(4000):
            pairs.append(
                (tuple(generator.permutation(floor)[:4].tolist()), tuple(generator.integers(5, size=4).tolist()))
            )
    make = functools.partial(envs.make, "switch", num_agents=num_agents)
    states, actions = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    after, obs, reward, terminated = stepped(make, jnp.asarray(states), actions)
    events: collections.Counter = collections.Counter()
    for i, (cells, action) in enumerate(pairs):
        reached, gain = walk_rooms(cells, action, events)
        assert tuple(after[i].tolist()) == reached
        np.testing.assert_allclose(reward[i], gain, rtol=1e-6)
        assert terminated[i].tolist() == [cell == home for cell, home in zip(reached, HOMES, strict=False)]
        own = [[round(cell // 7 / 2, 2), round(cell % 7 / 6, 2)] for cell in reached]
        np.testing.assert_allclose(obs.features[i], own, rtol=1e-6)
        np.testing.assert_allclose(obs.state[i], [sum(own, [])] * num_agents, rtol=1e-6)
    assert all(events[event] >= 50 for event in ("edge", "wall", "in the way", "followed", "home")), events


def test_switch_ends_for_each_agent_at_home() -> None:
    """The best joint way, found by search: who is home first is terminated and no longer valid till all are."""
    start, goal = STARTS[:2], HOMES[:2]
    came: dict[Any, Any] = {}
    queue: list[Any] = [(0, start, None)]  # (steps made by agents that were not at home yet, cells, how they came)
    while goal not in came:
        cost, cells, how = heapq.heappop(queue)
        if cells in came:
            continue
        came[cells], away = how, sum(cell != home for cell, home in zip(cells, goal, strict=True))
        for action in itertools.product(range(5), repeat=2):
            reached, _ = walk_rooms(cells, action, collections.Counter())
            if reached not in came:
                heapq.heappush(queue, (cost + away, reached, (cells, action)))
    way, cells = [], goal
    while came[cells] is not None:
        cells, action = came[cells]
        way.insert(0, action)
    venv = vectorize(envs.make("switch"), 1)
    step = contracts.quick(venv.step)
    state, timestep = contracts.quick(venv.reset)(KEY, ())
    steps = []
    for action in way:
        state, timestep = step(KEY, state, jnp.array([action]), ())
        steps.append(timestep)
    ends = [int(np.argmax([bool(s.terminated[0, i]) for s in steps])) for i in range(2)]
    assert max(ends) == len(way) - 1 and min(ends) < max(ends)
    first, last = int(np.argmin(ends)), int(np.argmax(ends))
    for t, each in enumerate(steps):
        assert bool(each.valid[0, first]) == (t <= ends[first]) and bool(each.valid[0, last])
        assert bool(each.first.any()) == (t == len(way) - 1)
    lengths = np.array(ends) + 1
    np.testing.assert_allclose(timestep.info["episode_return"][0], 5 - 0.1 * (lengths - 1), rtol=1e-5)
    assert float(timestep.info["success"][0]) == 1.0
