"""The MiniGrid family: steps, views and starts as in the package minigrid."""

import collections
import functools
import zlib
from typing import Any

import contracts
import gymnasium
import jax
import jax.numpy as jnp
import minigrid_original as original
import numpy as np
import pytest
from minigrid import wrappers
from minigrid_original import PAIRS, Injected
from scipy import stats

from jaxrl import envs
from jaxrl.envs.minigrid import cells, rules, views
from jaxrl.envs.minigrid.dynamic_obstacles import BLUE_BALL
from jaxrl.envs.minigrid.pictures import to_text
from jaxrl.errors import UsageError

NUM_STATES = 1000  # injected per world
every = pytest.mark.parametrize("name", PAIRS)


def shape_of(env: Any) -> tuple[int, int]:
    return env.width, env.height


def batch(states: list[Injected], shape: tuple[int, int], occluded: bool) -> rules.State:
    """Our states [n] from injected ones."""
    maps = np.stack([state.codes for state in states])
    rest = np.array([[cells.GREY_WALL, state.carried] for state in states])
    numbers = [[s.position, s.direction, s.time, s.target, s.content, 0, *s.others] for s in states]
    lines = lines_of(shape)(maps) if occluded else ()
    return rules.State(jnp.asarray(np.hstack([maps, rest]), jnp.uint8), lines, jnp.asarray(numbers, jnp.int32))


@functools.cache
def lines_of(shape: tuple[int, int]) -> Any:
    return contracts.quick(jax.vmap(lambda codes: rules.clear_lines(codes.reshape(shape))))


class Pairs:
    """Injected (state, action) pairs of one world, and where both sides step to from them."""

    def __init__(self, name: str) -> None:
        self.env, self.theirs = original.ours(name), original.theirs(name)
        generator, self.shape = np.random.default_rng(3), shape_of(self.theirs)
        self.states = [original.scramble(name, self.theirs, generator) for _ in range(NUM_STATES)]
        self.actions = generator.integers(self.env.action_space.n, size=NUM_STATES).astype(np.int32)
        self.before = batch(self.states, self.shape, views.occluded("original", self.theirs.see_through_walls))
        keys = jax.random.split(jax.random.key(1), NUM_STATES)
        step = contracts.quick(jax.vmap(self.step))
        self.after, self.seen, self.reward, self.terminated, self.full = jax.tree.map(
            np.asarray, step(keys, self.before, self.actions)
        )
        self.reached = [self.follow(name, i, generator) for i in range(NUM_STATES)]

    def step(self, key: Any, state: Any, action: Any) -> Any:
        after = self.env.step(key, state, action, ())
        return *after, views.symbolic(after[0], self.shape)

    def follow(self, name: str, i: int, generator: np.random.Generator) -> tuple[Any, ...]:
        """(state, observation, reward, terminated, full observation) of the original."""
        env, state = self.theirs, self.states[i]
        original.write(name, env, state)
        if name == "dynamic_obstacles":
            moves = zip(state.others, self.after.numbers[i, 6:], strict=True)
            scripted = [None if old == new else divmod(int(new), env.height) for old, new in moves]
            original.script(env, scripted, generator)
        obs, reward, terminated, _, _ = env.step(int(self.actions[i]))
        full = wrappers.FullyObsWrapper.observation(wrappers.FullyObsWrapper(env), obs)["image"]
        after = original.read(name, env, state.content, state.target)
        for attribute in ("place_obj", "_rand_int"):
            vars(env).pop(attribute, None)
        return after, obs, reward, terminated, full


@functools.cache
def pairs(name: str) -> Pairs:
    return Pairs(name)


@every
def test_steps_are_those_of_minigrid(name: str) -> None:
    """Map, agent, load, reward, termination, both observations: 0 mismatches over injected (state, action) pairs."""
    taken = pairs(name)
    for i, (after, obs, reward, terminated, full) in enumerate(taken.reached):
        np.testing.assert_array_equal(taken.after.cells[i, :-2], after.codes)
        pose = after.position, after.direction, after.time, after.target, after.content, *after.others
        assert (*taken.after.numbers[i, :5], *taken.after.numbers[i, 6:]) == pose
        assert taken.after.cells[i, -1] == after.carried and taken.after.cells[i, -2] == cells.GREY_WALL
        np.testing.assert_allclose(taken.reward[i], reward, rtol=1e-6)
        assert taken.terminated[i] == terminated
        assert taken.after.numbers[i, 5] == (reward > 0)
        np.testing.assert_array_equal(taken.seen["image"][i], obs["image"])
        assert taken.seen["direction"][i] == obs["direction"]
        np.testing.assert_array_equal(taken.full[i], full)
    if not isinstance(taken.after.sight, tuple):  # the lines of sight are those of the map that was reached
        np.testing.assert_array_equal(taken.after.sight, lines_of(taken.shape)(taken.after.cells[:, :-2]))


def test_the_injected_pairs_cover_all_there_is() -> None:
    """By count: what is in front of whom with which load, each edge of the map, hidden cells, each ending."""
    met, loads, edges, ended = (collections.Counter[Any]() for _ in range(4))
    hidden = total = 0
    for name in PAIRS:
        taken = pairs(name)
        (width, height), total = taken.shape, total + len(taken.states)
        for i, state in enumerate(taken.states):
            x, y = divmod(state.position, height)
            dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[state.direction]
            code, action = int(state.codes[(x + dx) * height + y + dy]), int(taken.actions[i])
            met[code % 16, action] += 1
            loads[state.carried % 16, action] += 1
            edges[(x, dx) in ((1, -1), (width - 2, 1)), (y, dy) in ((1, -1), (height - 2, 1)), state.direction] += 1
            if code % 16 == cells.LOCKED and action == rules.TOGGLE:
                met["key fits" if state.carried == cells.KEY + code // 16 * 16 else "key does not fit"] += 1
            hidden += int((taken.seen["image"][i][..., 0] == cells.UNSEEN).sum() > 0)
        ended[name, "success"] = int((taken.reward > 0).sum())
        ended[name, "failure"] = int((taken.terminated & (taken.reward <= 0)).sum())
    assert total >= 1000 and hidden >= 500
    kinds = [k for k in range(1, 14) if k != cells.AGENT]
    assert {(k, a): n for k in kinds for a in range(7) if (n := met[k, a]) < 3} == {}
    assert met["key fits"] >= 3 and met["key does not fit"] >= 3
    load_kinds = (cells.EMPTY, cells.KEY, cells.BALL, cells.BOX, cells.FILLED)
    assert {(k, a): n for k in load_kinds for a in range(7) if (n := loads[k, a]) < 10} == {}
    sides = [edges[direction % 2 == 0, direction % 2 == 1, direction] for direction in range(4)]
    assert min(sides) >= 20
    assert sum(ended[name, "success"] for name in PAIRS) >= 20
    assert {name: ended[name, "success"] for name in original.OWN_ENDINGS if ended[name, "success"] < 1} == {}
    assert min(ended[name, "failure"] for name in ("go_to_door", "memory", "dynamic_obstacles")) >= 3


@every
def test_text_is_what_minigrid_prints(name: str) -> None:
    taken = pairs(name)
    for i in range(0, NUM_STATES, 10):
        original.write(name, taken.theirs, taken.states[i])
        state = jax.tree.map(lambda x, i=i: x[i], taken.before)
        assert to_text(state, taken.shape[0]) == taken.theirs.pprint_grid()


def test_one_hot_is_the_image_in_one_hot() -> None:
    taken = pairs("key_corridor")
    see = jax.jit(jax.vmap(views.view("one_hot", taken.shape, None)[0]))
    wrapper = wrappers.OneHotPartialObsWrapper(taken.theirs)
    ours = np.asarray(see(taken.before))
    for i in range(20):
        original.write("key_corridor", taken.theirs, taken.states[i])
        np.testing.assert_array_equal(ours[i], wrapper.observation(taken.theirs.gen_obs())["image"])


# --- starts --------------------------------------------------------------------------------------------------------


@functools.cache
def starts(name: str, n: int = 2000) -> rules.State:
    env = original.ours(name, "none")
    reset = contracts.quick(jax.vmap(lambda key: env.reset(key, ())[0]))
    return jax.tree.map(np.asarray, reset(jax.random.split(jax.random.key(5), n)))


def features(state: Injected) -> dict[str, Any]:
    """Small parts of a start, whose distributions are compared."""
    kinds = state.codes % 16
    things = {kind: np.flatnonzero(kinds == kind) for kind in (cells.KEY, cells.BALL, cells.BOX, cells.GOAL)}
    doors = np.flatnonzero(np.isin(kinds, (cells.OPEN, cells.CLOSED, cells.LOCKED)))
    lines = np.flatnonzero(np.isin(kinds, (cells.WALL, cells.LAVA)))
    where = {f"kind {kind}": tuple(place[:1]) for kind, place in things.items()}
    return where | {
        "position": state.position, "direction": state.direction, "target": state.target,
        "doors": (doors.size, *doors[:1]), "last door": tuple(doors[-1:]),
        "colours": tuple(state.codes[doors[:2]] // 16), "map": zlib.crc32(state.codes.tobytes()) % 13,
        "lines": (lines.size, int(lines.sum()) % 23),
    }  # fmt: skip


@every
def test_starts_are_distributed_as_minigrids(name: str) -> None:
    """Chi-square over where things are, colours, doors and walls, of 2000 starts of ours and 2000 of the original."""
    mine, env, count = starts(name), original.theirs(name), 2000
    env.gen_obs = lambda: None  # a start need not be looked at
    counts: dict[str, list[collections.Counter[Any]]] = collections.defaultdict(
        lambda: [collections.Counter(), collections.Counter()]
    )
    for i in range(count):
        numbers = mine.numbers[i]
        here = Injected(mine.cells[i, :-2], *numbers[:2], cells.EMPTY, 0, numbers[3], cells.EMPTY, tuple(numbers[6:]))
        env.reset(seed=i)
        for side, state in enumerate((here, original.read(name, env))):
            for feature, value in features(state).items():
                counts[feature][side][value] += 1
    for feature, (ours, theirs) in counts.items():
        common = [value for value in {**ours, **theirs} if ours[value] + theirs[value] >= 20]
        table = np.array([[side[value] for value in common] for side in (ours, theirs)])
        rest = np.array([[count], [count]]) - table.sum(1, keepdims=True)
        table = np.hstack([table, rest]) if rest.sum() >= 20 else table
        assert table.shape[1] > 0
        if table.shape[1] > 1:
            assert stats.chi2_contingency(table).pvalue > 1e-4, (feature, table)


def test_door_key_starts_are_exactly_those_of_minigrid() -> None:
    """DoorKey-5x5 has 48 equally likely starts: 2 doors, 3 cells for the agent, 2 for the key, 4 directions."""
    env = envs.make("minigrid_door_key", size=5, view="none")
    state = contracts.quick(jax.vmap(lambda key: env.reset(key, ())[0]))(jax.random.split(jax.random.key(0), 4800))
    rows = np.hstack([state.cells[:, :-2], state.numbers[:, :2]])
    counts = collections.Counter(map(tuple, rows.tolist()))
    assert len(counts) == 48 and stats.chisquare(list(counts.values())).pvalue > 0.001


@every
def test_levels_can_be_solved(name: str) -> None:
    """From each of 300 starts a walk through doors, the locked one with its key, reaches what the episode is about."""
    env, state = original.theirs(name), starts(name)
    for i in range(300):
        assert solvable(name, state.cells[i, :-2].reshape(shape_of(env)), *state.numbers[i, [0, 3]])


def solvable(name: str, codes: np.ndarray, position: int, target: int) -> bool:
    kinds, seen, keys = codes % 16, {divmod(int(position), codes.shape[1])}, False
    blocked = [cells.WALL, cells.LAVA, cells.BALL, cells.BOX]
    for _ in range(2):  # a second time with the key
        edge = list(seen)
        while edge:
            x, y = edge.pop()
            for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                inside = 0 <= place[0] < codes.shape[0] and 0 <= place[1] < codes.shape[1]
                if inside and place not in seen and (kinds[place] != cells.LOCKED or keys):
                    seen.add(place)
                    if kinds[place] not in blocked:
                        edge.append(place)
        keys = any(kinds[place] == cells.KEY for place in seen)
    wanted = {
        "unlock": lambda: divmod(int(target), codes.shape[1]), "memory": lambda: divmod(int(target), codes.shape[1]),
        "go_to_door": lambda: divmod(int(target), codes.shape[1]),
        "unlock_pickup": lambda: tuple(np.argwhere(codes == target)[0]),
        "red_blue_doors": lambda: tuple(np.argwhere(codes == cells.CLOSED + 16 * cells.BLUE)[0]),
    }  # fmt: skip
    wanted["key_corridor"] = wanted["unlock_pickup"]
    goal = wanted.get(name.split(",")[0], lambda: tuple(np.argwhere(kinds == cells.GOAL)[0]))()
    return goal in seen


def test_balls_wander_uniformly() -> None:
    """A ball with five free cells around it goes to each of them equally often; one that is shut in stays."""
    env = envs.make("minigrid_dynamic_obstacles", size=5, num_obstacles=2, view="none")
    codes = np.full((5, 5), cells.GREY_WALL)
    codes[1:4, 1:4] = cells.EMPTY
    codes[2, 2] = codes[1, 1] = BLUE_BALL
    codes[3, 3] = cells.GREEN_GOAL
    state = Injected(codes.ravel().astype(np.uint8), 3 * 5 + 1, 1, cells.EMPTY, 0, 0, cells.EMPTY, (12, 6))
    one = jax.tree.map(lambda x: x[0], batch([state], (5, 5), occluded=False))
    step = contracts.quick(jax.vmap(lambda key: env.step(key, one, jnp.int32(0), ())[0]))
    after = np.asarray(step(jax.random.split(jax.random.key(2), 3000)).numbers)[:, 6]
    counts = collections.Counter(after.tolist())
    assert set(counts) == {7, 8, 11, 13, 17} and stats.chisquare(list(counts.values())).pvalue > 0.001
    codes[1:4, 1:4] = BLUE_BALL
    codes[3, 1] = cells.EMPTY  # where the agent is
    shut = state._replace(codes=codes.ravel().astype(np.uint8))
    one = jax.tree.map(lambda x: x[0], batch([shut], (5, 5), occluded=False))
    assert env.step(jax.random.key(0), one, jnp.int32(0), ())[0].numbers[6:].tolist() == [12, 6]


# --- options -------------------------------------------------------------------------------------------------------

IDS = {
    "Empty-5x5": ("empty", {"size": 5}), "Empty-Random-6x6": ("empty", {"size": 6, "random_start": True}),
    "Empty-16x16": ("empty", {"size": 16}), "FourRooms": ("four_rooms", {}), "DoorKey-5x5": ("door_key", {"size": 5}),
    "DoorKey-16x16": ("door_key", {"size": 16}), "Unlock": ("unlock", {}), "UnlockPickup": ("unlock_pickup", {}),
    "LavaGapS7": ("lava_gap", {}), "LavaCrossingS11N5": ("lava_crossing", {"size": 11, "num_crossings": 5}),
    "SimpleCrossingS9N3": ("simple_crossing", {"num_crossings": 3}),
    "KeyCorridorS3R1": ("key_corridor", {"room_size": 3, "num_rows": 1}), "KeyCorridorS6R3": ("key_corridor", {}),
    "KeyCorridorS5R3": ("key_corridor", {"room_size": 5}),
    "MultiRoom-N2-S4": ("multi_room", {"min_rooms": 2, "max_rooms": 2, "max_room_size": 4}),
    "MultiRoom-N6": ("multi_room", {"min_rooms": 6, "max_rooms": 6, "max_room_size": 10}),
    "MemoryS17Random": ("memory", {"size": 17, "random_length": True}), "MemoryS7": ("memory", {"size": 7}),
    "Dynamic-Obstacles-16x16": ("dynamic_obstacles", {"size": 16, "num_obstacles": 8}),
    "Dynamic-Obstacles-5x5": ("dynamic_obstacles", {"size": 5, "num_obstacles": 2}),
    "GoToDoor-8x8": ("go_to_door", {"size": 8}), "RedBlueDoors-8x8": ("red_blue_doors", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_registered_sizes_have_minigrids_limits_and_maps(name: str) -> None:
    world, options = IDS[name]
    theirs = gymnasium.make(f"MiniGrid-{name}-v0").unwrapped
    env = envs.make(f"minigrid_{world}", view="symbolic", **options)
    assert env.max_steps == theirs.max_steps
    assert env.observation_space.shape == (theirs.width, theirs.height, 3)
    assert env.action_space.n == theirs.action_space.n
    state, obs = jax.eval_shape(env.reset, jax.random.key(0), ())
    assert obs.features.shape if world == "go_to_door" else obs.shape == env.observation_space.shape


def test_missions_are_told() -> None:
    """GoToDoor names a colour in every view; where the mission cannot matter only the view "original" names it."""
    state, obs = contracts.quick(envs.make("minigrid_go_to_door").reset)(jax.random.key(3), ())
    colour = int(state.cells[state.target]) // 16
    assert obs.goal.tolist() == [int(i == colour) for i in range(6)]
    env = envs.make("minigrid_unlock_pickup", view="original")
    state, obs = contracts.quick(env.reset)(jax.random.key(0), ())
    (box,) = np.asarray(state.cells)[np.asarray(state.cells) % 16 == cells.BOX]
    assert int(obs["mission"]) == int(box) // 16 and set(obs) == set(env.observation_space)


@pytest.mark.parametrize(("reward", "expected"), [("minigrid", 1 - 0.9 * 3 / 36), ("plain", 1.0)])
def test_reward_is_minigrids_or_plain(reward: str, expected: float) -> None:
    env = envs.make("minigrid_empty", size=4, reward=reward, max_steps=36, view="none")
    state, _ = env.reset(jax.random.key(0), ())
    rewards = []
    for action in (rules.FORWARD, rules.RIGHT, rules.FORWARD):
        state, _, earned, terminated = env.step(jax.random.key(0), state, jnp.int32(action), ())
        rewards.append(float(earned))
    assert rewards == pytest.approx([0, 0, expected]) and bool(terminated)
    assert float(env.measure(state, ())["success"]) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("door_key", {"size": 3}, "size is 3: expected from 5 to 26, the sizes that a minigrid_door_key has levels of"),
        ("empty", {"size": 2}, "size is 2: expected from 4 to 26"),
        ("lava_gap", {"size": 4}, "size is 4: expected from 5 to 26"),
        ("lava_gap", {"obstacle": "water"}, "unknown obstacle 'water': expected one of lava, wall"),
        ("lava_crossing", {"size": 8}, "size is 8: expected an odd number"),
        ("simple_crossing", {"num_crossings": 7}, "num_crossings is 7: expected from 1 to 6 in size 9"),
        ("memory", {"size": 8}, "size is 8: expected an odd number"),
        ("multi_room", {"min_rooms": 5}, "max_rooms is 4: expected from min_rooms, 5, to 8"),
        ("multi_room", {"max_room_size": 3}, "max_room_size is 3: expected a number from 4 to 10"),
        ("key_corridor", {"room_size": 2}, "room_size is 2: expected a number from 3 to 9"),
        ("key_corridor", {"num_rows": 9}, "num_rows is 9: expected from 1 to 5"),
        ("red_blue_doors", {"size": 14}, "size is 14: expected a number from 4 to 13"),
        ("dynamic_obstacles", {"num_obstacles": 0}, "num_obstacles is 0: expected at least 1"),
        ("door_key", {"view": "egocentrik"}, "unknown view 'egocentrik': did you mean egocentric?"),
        ("door_key", {"reward": "sparse"}, "unknown reward 'sparse': expected one of minigrid, plain"),
        ("unlock", {"max_steps": 0}, "max_steps is 0: expected at least 1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make(f"minigrid_{name}", **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_pictures_show_the_map() -> None:
    env = envs.make("minigrid_red_blue_doors", size=6)
    state, _ = contracts.quick(env.reset)(jax.random.key(0), ())
    picture = np.asarray(env.render(state, ()))
    tiles = picture.reshape(6, 16, 12, 16, 3).swapaxes(1, 2).reshape(72, -1)
    assert picture.shape == (96, 192, 3) and picture.dtype == np.uint8
    assert len(np.unique(tiles, axis=0)) == 5  # wall, floor, two doors, the agent
