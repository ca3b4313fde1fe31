"""KeyCorridor (MiniGrid): find the key in the rooms to the left, and pick up the ball behind the locked door.

Reward for picking up the ball, whose colour is the mission. Limit: 30 * room_size^2 steps.
Start: three columns of rooms, the middle one a hallway. The ball is in a random room to the right, whose door from the
hallway is locked; its key is in a random room to the left. Between the other rooms doors of random colours are added in
random order, until every room can be reached. The agent is in the middle room, facing nothing but a wall.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import BALL, CLOSED, EMPTY, KEY, LOCKED, NUM_COLOURS
from jaxrl.envs.minigrid.levels import columns_and_rows, whole
from jaxrl.envs.minigrid.rooms import inside, place_agent, room_grid
from jaxrl.envs.minigrid.rules import LARGEST, Level
from jaxrl.envs.minigrid.unlock import took_target
from jaxrl.envs.minigrid.world import world
from jaxrl.errors import UsageError, within
from jaxrl.types import Array, Environment, Key


def key_corridor(
    room_size: int = 6,
    num_rows: int = 3,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """Rooms of room_size x room_size cells with their walls (MiniGrid's S3R1 has room_size 3 and num_rows 1)."""
    within("room_size", room_size, 3, LARGEST // 3 + 1)
    if not 1 <= num_rows * (room_size - 1) < LARGEST:
        raise UsageError(f"num_rows is {num_rows}: expected from 1 to {(LARGEST - 1) // (room_size - 1)}")
    step, ((width, height), rooms) = room_size - 1, room_grid(3, num_rows, room_size)
    x, y = columns_and_rows((width, height))
    hallway = (x > step) & (x < 2 * step)
    rooms = np.where(hallway & (y > 0) & (y < height - 1), EMPTY, rooms)
    middle = step * (num_rows // 2)
    starts = np.flatnonzero(hallway & (y >= max(middle, 1)) & (y <= min(middle + step, height - 2))).astype(np.int32)
    left, right = (np.stack([inside(i, j, room_size, height) for j in range(num_rows)]) for i in (0, 2))
    cells, line = np.arange(width * height), np.arange(num_rows)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (3 * 4 * num_rows + 7,))
        places, order, paint = uniform[7:].reshape(3, 4, num_rows)
        locked, key_row = whole(uniform[:2], 0, num_rows)
        colour, ball_colour = whole(uniform[2:4], 0, NUM_COLOURS)
        ball, along = BALL + 16 * ball_colour, whole(places, 1, step)
        doors = jnp.stack(
            [
                step * height + line * step + along[0],  # from the left rooms to the hallway
                2 * step * height + line * step + along[1],  # from the hallway to the right rooms
                along[2] * height + (line + 1) * step,  # from one left room to the next
                (2 * step + along[3]) * height + (line + 1) * step,  # from one right room to the next
            ]
        )
        full = jnp.where(cells == doors[1, locked], LOCKED + 16 * colour, rooms)
        full = jnp.where(
            cells == jnp.asarray(left)[key_row, whole(uniform[4], 0, left.shape[1])], KEY + 16 * colour, full
        )
        full = jnp.where(cells == jnp.asarray(right)[locked, whole(uniform[5], 0, right.shape[1])], ball, full)
        position, direction = place_agent(uniform[6], full, starts, height)
        here = (cells == doors.reshape(-1, 1)) & _added(order, locked).reshape(-1, 1)
        painted = jnp.sum(here * (CLOSED + 16 * whole(paint, 0, NUM_COLOURS)).reshape(-1, 1), 0)
        return Level(jnp.where(painted > 0, painted, full), position, direction, ball)

    limit = 30 * room_size**2 if max_steps is None else max_steps
    return world(
        (width, height), level, max_steps=limit, view=view, reward=reward, judge=took_target,
        mission=lambda state: state.target >> 4,
    )  # fmt: skip


def _added(order: Array, locked: Array) -> Array:
    """bool [4, R]: the doors that are there, when they are added in this order until every room can be reached."""
    line, never = np.arange(order.shape[1]), jnp.inf
    order = order.at[2:, -1].set(never)
    order = order.at[1].set(jnp.where(line == locked, never, order[1]))
    order = order.at[3].set(jnp.where((line == locked) | (line + 1 == locked), never, order[3]))
    left, right = _reached(order[0], order[2]), _reached(order[1], order[3])
    last = jnp.maximum(jnp.max(left), jnp.max(jnp.where(line == locked, 0.0, right)))
    return order <= last


def _reached(side: Array, stack: Array) -> Array:
    """float [R]: when each room of a column is reached, from when its doors to the hallway and to the next room are."""
    rooms = [side[i] for i in range(side.size)]
    pairs = [(i, i + 1) for i in range(side.size - 1)]
    for here, there in pairs + [(j, i) for i, j in reversed(pairs)]:
        rooms[there] = jnp.minimum(rooms[there], jnp.maximum(rooms[here], stack[min(here, there)]))
    return jnp.stack(rooms)
