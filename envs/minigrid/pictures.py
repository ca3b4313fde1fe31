"""A MiniGrid as text, and as a picture."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.envs.minigrid import cells
from jaxrl.envs.minigrid.rules import State
from jaxrl.types import Array

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
SHAPES = {
    cells.WALL: "square", cells.FLOOR: "block", cells.OPEN: "door_open", cells.KEY: "key", cells.BALL: "disc",
    cells.BOX: "box", cells.FILLED: "box", cells.GOAL: "square", cells.CLOSED: "door_closed",
    cells.LOCKED: "door_locked",
}  # fmt: skip
ARROWS = ("triangle_right", "triangle_down", "triangle_left", "triangle_up")
LETTERS = {
    cells.WALL: "W", cells.FLOOR: "F", cells.KEY: "K", cells.BALL: "A", cells.BOX: "B", cells.FILLED: "B",
    cells.GOAL: "G", cells.LAVA: "V", cells.CLOSED: "D", cells.LOCKED: "L",
}  # fmt: skip


def to_text(state: State, width: int | None = None) -> str:
    """The map as MiniGrid prints it, two letters a cell: kind and colour; the agent is an arrow. Square by default.

    W wall, F floor, D closed door, L locked door, __ open door, K key, A ball, B box, G goal, V lava.
    """
    grid = np.asarray(state.cells)[:-2]
    width = round(grid.size**0.5) if width is None else width
    text = [_letters(int(code)) for code in grid]
    text[int(state.position)] = 2 * ">V<^"[int(state.direction)]
    return "\n".join("".join(row) for row in np.reshape(text, (width, -1)).T)


def _letters(code: int) -> str:
    kind, colour = code % 16, code // 16
    if kind in (cells.EMPTY, cells.OPEN):
        return "  " if kind == cells.EMPTY else "__"
    return LETTERS[kind] + COLOURS[colour][0].upper()


def painter(shape: tuple[int, int], pixels: int = render.PIXELS) -> Callable[[State, Any], Array]:
    """`render` (state, params) -> uint8 [H * P, W * P, 3] of a map of shape (W, H)."""
    atlas, tiles, slots = [render.tile("white", "block", pixels, "silver")], np.zeros(256, np.int32), np.arange(256)

    def add(code: int, picture: np.ndarray) -> None:
        tiles[code] = len(atlas)
        atlas.append(picture)

    for kind, form in SHAPES.items():
        for i, colour in enumerate(COLOURS):
            add(kind + 16 * i, render.tile(colour, form, pixels, atlas[0]))
    add(cells.RED_LAVA, render.tile("black", "waves", pixels, "orange"))
    for direction, arrow in enumerate(ARROWS):
        add(cells.AGENT + 16 * direction, render.tile("red", arrow, pixels, atlas[0]))
    stacked, slots = np.stack(atlas), np.arange(shape[0] * shape[1])

    def draw(state: State, params: Any) -> Array:
        agent = cells.AGENT + 16 * state.direction
        codes = jnp.where(slots == state.position, agent, state.cells[:-2].astype(jnp.int32))
        return render.mosaic(stacked, jnp.asarray(tiles)[codes].reshape(shape).T)

    return draw
