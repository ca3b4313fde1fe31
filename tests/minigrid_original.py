"""The package minigrid beside ours: states are carried over from one to the other, and made up at random."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from minigrid.core import constants, grid, world_object
from minigrid.envs import (
    CrossingEnv,
    DoorKeyEnv,
    DynamicObstaclesEnv,
    EmptyEnv,
    FourRoomsEnv,
    GoToDoorEnv,
    KeyCorridorEnv,
    LavaGapEnv,
    MemoryEnv,
    MultiRoomEnv,
    RedBlueDoorEnv,
    UnlockEnv,
    UnlockPickupEnv,
)  # fmt: skip

from jaxrl.envs.minigrid import cells
from jaxrl.envs.minigrid.crossing import lava_crossing, simple_crossing
from jaxrl.envs.minigrid.door_key import door_key
from jaxrl.envs.minigrid.dynamic_obstacles import dynamic_obstacles
from jaxrl.envs.minigrid.empty import empty
from jaxrl.envs.minigrid.four_rooms import four_rooms
from jaxrl.envs.minigrid.go_to_door import go_to_door
from jaxrl.envs.minigrid.key_corridor import key_corridor
from jaxrl.envs.minigrid.lava_gap import lava_gap
from jaxrl.envs.minigrid.memory import memory
from jaxrl.envs.minigrid.multi_room import multi_room
from jaxrl.envs.minigrid.red_blue_doors import red_blue_doors
from jaxrl.envs.minigrid.unlock import unlock, unlock_pickup

PAIRS: dict[str, tuple[Callable[..., Any], dict[str, Any], Callable[..., Any], dict[str, Any]]] = {
    "empty": (empty, {"size": 6, "random_start": True}, EmptyEnv, {"size": 6, "agent_start_pos": None}),
    "four_rooms": (four_rooms, {}, FourRoomsEnv, {}),
    "door_key": (door_key, {"size": 6}, DoorKeyEnv, {"size": 6}),
    "unlock": (unlock, {}, UnlockEnv, {}),
    "unlock_pickup": (unlock_pickup, {}, UnlockPickupEnv, {}),
    "lava_gap": (lava_gap, {"size": 6}, LavaGapEnv, {"size": 6}),
    "lava_crossing": (lava_crossing, {"num_crossings": 2}, CrossingEnv, {"num_crossings": 2}),
    "simple_crossing": (
        simple_crossing, {"size": 7, "num_crossings": 3}, CrossingEnv,
        {"size": 7, "num_crossings": 3, "obstacle_type": "wall"},
    ),
    "key_corridor": (key_corridor, {"room_size": 4}, KeyCorridorEnv, {"room_size": 4}),
    "key_corridor, two rows": (
        key_corridor, {"room_size": 3, "num_rows": 2}, KeyCorridorEnv, {"room_size": 3, "num_rows": 2}
    ),
    "multi_room": (
        multi_room, {"min_rooms": 2, "max_rooms": 3, "max_room_size": 6}, MultiRoomEnv,
        {"minNumRooms": 2, "maxNumRooms": 3, "maxRoomSize": 6},
    ),
    "memory": (memory, {"size": 9, "random_length": True}, MemoryEnv, {"size": 9, "random_length": True}),
    "dynamic_obstacles": (
        dynamic_obstacles, {"size": 6, "num_obstacles": 3, "random_start": True}, DynamicObstaclesEnv,
        {"size": 6, "n_obstacles": 3, "agent_start_pos": None},
    ),
    "go_to_door": (go_to_door, {"size": 6}, GoToDoorEnv, {"size": 6}),
    "red_blue_doors": (red_blue_doors, {"size": 6}, RedBlueDoorEnv, {"size": 6}),
}  # fmt: skip
OWN_ENDINGS = ("unlock", "unlock_pickup", "key_corridor", "go_to_door", "red_blue_doors", "memory")  # no goal, no lava
COLOURS = list(constants.COLOR_TO_IDX)  # by number
KINDS = {
    "wall": cells.WALL, "floor": cells.FLOOR, "key": cells.KEY, "ball": cells.BALL, "box": cells.BOX,
    "goal": cells.GOAL, "lava": cells.LAVA,
}  # fmt: skip


class Injected(NamedTuple):
    """A state in plain numbers, which both sides can be put into."""

    codes: np.ndarray  # uint8 [W * H]
    position: int
    direction: int
    carried: int
    time: int
    target: int
    content: int
    others: tuple[int, ...]  # where the wandering balls are, in order


def ours(name: str, view: str = "original") -> Any:
    make, options, *_ = PAIRS[name]
    return make(**options, view=view)


def theirs(name: str) -> Any:
    _, _, make, options = PAIRS[name]
    env = make(**options)
    env.reset(seed=0)
    return env


def code_of(thing: Any) -> int:
    """The code of one of the original's objects."""
    if thing is None:
        return cells.EMPTY
    colour = 16 * constants.COLOR_TO_IDX[thing.color]
    if thing.type == "door":
        return (cells.OPEN if thing.is_open else cells.LOCKED if thing.is_locked else cells.CLOSED) + colour
    return (cells.FILLED if thing.contains is not None else KINDS[thing.type]) + colour


def thing_of(code: int, content: int) -> Any:
    """One of the original's objects, from its code."""
    kind, colour = code % 16, COLOURS[code // 16]
    match kind:
        case cells.EMPTY:
            return None
        case cells.OPEN | cells.CLOSED | cells.LOCKED:
            return world_object.Door(colour, kind == cells.OPEN, kind == cells.LOCKED)
        case cells.LAVA:
            return world_object.Lava()
        case cells.FILLED:
            return world_object.Box(colour, thing_of(content, cells.EMPTY))
    names = {kind: name for name, kind in KINDS.items()}
    return getattr(world_object, names[kind].capitalize())(colour)


def place(env: Any, position: Any) -> int:
    return int(position[0]) * env.height + int(position[1])


def target_of(name: str, env: Any) -> int:
    """What decides the episode, as our state has it."""
    match name.split(",")[0]:
        case "unlock":
            return place(env, env.door.cur_pos)
        case "unlock_pickup" | "key_corridor":
            return code_of(env.obj)
        case "go_to_door":
            return place(env, env.target_pos)
        case "memory":
            return place(env, env.success_pos)
    return 0


def read(name: str, env: Any, content: int = cells.EMPTY, target: int | None = None) -> Injected:
    """The original's state, as ours has it."""
    codes = np.array([code_of(env.grid.get(i, j)) for i in range(env.width) for j in range(env.height)], np.uint8)
    others = tuple(place(env, ball.cur_pos) for ball in getattr(env, "obstacles", ()))
    return Injected(
        codes, place(env, env.agent_pos), int(env.agent_dir), code_of(env.carrying), env.step_count,
        target_of(name, env) if target is None else target, content, others,
    )  # fmt: skip


def write(name: str, env: Any, state: Injected) -> None:
    """Put the original into a state."""
    env.grid = grid.Grid(env.width, env.height)
    for place, code in enumerate(state.codes):
        env.grid.set(*divmod(place, env.height), thing_of(int(code), state.content))
    env.agent_pos, env.agent_dir = divmod(state.position, env.height), state.direction
    env.carrying, env.step_count = thing_of(state.carried, state.content), state.time
    things = [thing for thing in [*env.grid.grid, env.carrying] if thing is not None]
    match name.split(",")[0]:
        case "unlock":
            env.door = env.grid.get(*divmod(state.target, env.height))
        case "unlock_pickup" | "key_corridor":
            (env.obj,) = [thing for thing in things if code_of(thing) == state.target]
        case "go_to_door":
            env.target_pos = divmod(state.target, env.height)
        case "memory":
            x, y = env.success_pos = divmod(state.target, env.height)
            env.failure_pos = (x, env.height - 1 - y)
        case "red_blue_doors":
            doors = {thing.color: thing for thing in things if thing.type == "door"}
            env.red_door, env.blue_door = doors["red"], doors["blue"]
        case "dynamic_obstacles":
            env.obstacles = [env.grid.get(*divmod(place, env.height)) for place in state.others]
            for ball, place in zip(env.obstacles, state.others, strict=True):
                ball.cur_pos = divmod(place, env.height)


def scramble(name: str, env: Any, generator: np.random.Generator) -> Injected:
    """A state that play may never reach: a level with things strewn over it, doors in any state, any pose and load."""
    env.reset(seed=int(generator.integers(2**31)))
    start = read(name, env)
    codes, colour, lone = start.codes.copy(), lambda: 16 * int(generator.integers(6)), name.split(",")[0]
    content = int(generator.choice([cells.KEY, cells.BALL])) + colour()
    doors = [kind for kind in (cells.OPEN, cells.CLOSED, cells.LOCKED)]
    movable = [cells.KEY, cells.BALL, cells.BOX, cells.FILLED]
    strewn = movable + [cells.FLOOR] + (doors if lone != "red_blue_doors" else [])
    strewn += [] if lone in OWN_ENDINGS else [cells.GOAL, cells.LAVA]
    for place in range(codes.size):
        if codes[place] % 16 in doors:
            codes[place] = generator.choice(doors) + codes[place] // 16 * 16
        if codes[place] == cells.EMPTY and generator.random() < 0.35:
            codes[place] = _other(generator.choice(strewn), colour(), start.target)
    loads = [cells.EMPTY] * 3 + [_other(kind, colour(), start.target) for kind in movable]
    carried = int(generator.choice(loads))
    if lone in ("unlock_pickup", "key_corridor") and generator.random() < 0.2:
        carried, codes[codes == start.target] = start.target, cells.EMPTY
    inner = np.zeros((env.width, env.height), bool)
    inner[1:-1, 1:-1] = True
    free = np.flatnonzero(np.isin(codes % 16, cells.OVERLAPPED) & inner.ravel())
    position = int(generator.choice(free))
    direction = int(generator.integers(4))
    front = position + (env.height, 1, -env.height, -1)[direction]
    if start.codes[front] == cells.EMPTY and front != start.target and generator.random() < 0.6:
        codes[front] = _other(generator.choice([*strewn, cells.WALL]), colour(), start.target)
    if codes[front] % 16 == cells.LOCKED and carried != start.target and generator.random() < 0.5:
        carried = cells.KEY + int(codes[front]) // 16 * 16
    if lone == "memory" and generator.random() < 0.3:  # beside the end, or on it
        position = start.target + int(
            generator.choice([0, 0, 2 if start.target % env.height < env.height // 2 else -2])
        )
        codes[position] = cells.EMPTY
    return start._replace(
        codes=codes, position=position, direction=direction, carried=carried,
        time=int(generator.integers(env.max_steps - 1)), content=content,
    )  # fmt: skip


def _other(kind: Any, colour: int, target: int) -> int:
    """A code of that kind, but never the target's own; goals are green, lava red."""
    code = {cells.GOAL: cells.GREEN_GOAL, cells.LAVA: cells.RED_LAVA}.get(int(kind), int(kind) + colour)
    return (code + 16) % 96 if code == target else code


def script(env: Any, moves: list[tuple[int, int] | None], generator: np.random.Generator) -> None:
    """Let the original's balls draw these moves, in turn; None: whatever it draws, so that a ball stays if it must."""
    queue: list[Any] = []

    def place_obj(thing: Any, **options: Any) -> Any:
        move = moves.pop(0)
        queue[:] = [] if move is None else list(move)
        return type(env).place_obj(env, thing, **options)

    def draw(low: int, high: int) -> int:
        drawn = queue.pop(0) if queue else int(generator.integers(low, high))
        assert low <= drawn < high
        return drawn

    env.place_obj, env._rand_int = place_obj, draw
