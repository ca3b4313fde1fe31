"""GoToDoor (MiniGrid): stand beside the door of the colour that the mission names, and say "done".

Observation: as in `views`, with the colour to look for as one-hot goal uint8 [6] ("mission" in the view "original").
Reward for "done" beside the named door. Termination: on "done", and on "toggle". Limit: 4 * size^2 steps.
Start: a room of random width and height from 5 to size, in each wall a door of another random colour at a random
place, the agent uniform over the free cells and directions. Walls hide nothing here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import CLOSED, EMPTY, GREY_WALL, NUM_COLOURS
from jaxrl.envs.minigrid.levels import columns_and_rows, ranks, whole
from jaxrl.envs.minigrid.rules import DONE, TOGGLE, Level, State, read
from jaxrl.envs.minigrid.world import square, world
from jaxrl.types import Array, Environment, Key


def go_to_door(
    size: int = 5, view: str = "egocentric", reward: str = "minigrid", max_steps: int | None = None
) -> Environment:
    """A map of size x size cells (MiniGrid's have 5, 6 and 8)."""
    shape = square("minigrid_go_to_door", size, 5)
    x, y = columns_and_rows(shape)

    def level(key: Key) -> Level:
        uniform = jax.random.uniform(key, (8 + NUM_COLOURS,))
        width, height = whole(uniform[:2], 5, size + 1)
        edge = (x < width) & (y < height) & ((x == 0) | (y == 0) | (x == width - 1) | (y == height - 1))
        columns, rows = whole(uniform[2:4], 2, width - 2), whole(uniform[4:6], 2, height - 2)
        doors = jnp.stack([columns[0] * size, columns[1] * size + height - 1, rows[0], (width - 1) * size + rows[1]])
        colours = jnp.argmax(ranks(uniform[8:]) == np.arange(4)[:, None], 1)  # four different ones in random order
        is_door = jnp.asarray(x * size + y) == doors[:, None]
        painted = jnp.sum(is_door * (CLOSED + 16 * colours)[:, None], 0)
        cells = jnp.where(painted > 0, painted, jnp.where(edge, GREY_WALL, EMPTY))
        pose = whole(uniform[6], 0, 4 * (width - 2) * (height - 2))
        cell = pose // 4
        agent = (1 + cell // (height - 2)) * size + 1 + cell % (height - 2)
        return Level(cells, agent, pose % 4, doors[whole(uniform[7], 0, 4)])

    def judge(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
        (ax, ay), (tx, ty) = (jnp.divmod(place, size) for place in (after.position, after.target))
        beside = abs(ax - tx) + abs(ay - ty) == 1
        done = action == DONE
        return done & beside, (done & ~beside) | (action == TOGGLE)

    def colour(state: State) -> Array:
        return (read(state.cells, state.target) >> 4).astype(jnp.int32)

    limit = 4 * size**2 if max_steps is None else max_steps
    return world(
        shape,
        level,
        max_steps=limit,
        view=view,
        reward=reward,
        see_through=True,
        judge=judge,
        mission=colour,
        told=colour,
    )
