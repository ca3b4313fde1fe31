"""What the agent sees of a MiniGrid: `egocentric`, `symbolic`, `one_hot`, `original` or `none`.

egocentric: uint8 [7, 7, 3], MiniGrid's own image: the cells ahead of the agent, which stands in the middle of the last
    row, at [3, 6], and looks towards [3, 0]; walls and closed doors hide what is behind them. Each cell is its (type,
    colour, state); what the agent carries is shown where it stands.
symbolic: uint8 [W, H, 3], the whole map with the agent in it (MiniGrid's FullyObsWrapper).
one_hot: uint8 [7, 7, 20], the egocentric image with one-hot type (11), colour (6) and state (3).
original: {"image": the egocentric image, "direction": int32 [], "mission": int32 [], a colour}, all that MiniGrid
    shows; "mission" only in worlds whose mission varies.
none: uint8 [], always 0, to measure the speed of the rules.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid import cells, rules
from jaxrl.envs.minigrid.rules import MARGIN, State, settled
from jaxrl.errors import unknown
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array

SIZE = 2 * MARGIN + 1  # cells of the view in each direction
NAMES = ("egocentric", "symbolic", "one_hot", "original", "none")

See = Callable[[State], Any]


def occluded(name: str, see_through: bool) -> bool:
    """Whether the view asks for the state's lines of sight."""
    return name in ("egocentric", "one_hot", "original") and not see_through


def view(name: str, shape: tuple[int, int], mission: Callable[[State], Array] | None) -> tuple[See, Any]:
    """(state -> features, their space) of a view by its name, on a map of shape (W, H)."""
    match name:
        case "egocentric":
            return _decoded(shape, cells.triples()), Box(0, cells.LAVA, (SIZE, SIZE, 3), np.uint8)
        case "one_hot":
            table = cells.one_hots()
            return _decoded(shape, table), Box(0, 1, (SIZE, SIZE, table.shape[-1]), np.uint8)
        case "symbolic":
            return lambda state: symbolic(state, shape), Box(0, cells.AGENT, (*shape, 3), np.uint8)
        case "original":
            return _original(shape, mission)
        case "none":
            return lambda state: jnp.uint8(0), Box(0, 0, (), np.uint8)
    raise unknown("view", name, NAMES)


def _original(shape: tuple[int, int], mission: Callable[[State], Array] | None) -> tuple[See, Any]:
    image, space = view("egocentric", shape, None)

    def see(state: State) -> dict[str, Array]:
        seen = {"image": image(state), "direction": state.direction}
        return seen if mission is None else seen | {"mission": mission(state)}

    parts = {"image": space, "direction": Discrete(4)}
    return see, parts if mission is None else parts | {"mission": Discrete(cells.NUM_COLOURS)}


def _decoded(shape: tuple[int, int], table: np.ndarray) -> See:
    """state -> [7, 7, C]: the entry of the table [256, C] for each cell of the egocentric view."""
    ahead = codes_ahead(shape)
    return lambda state: rules.read(jnp.asarray(table), ahead(state)).reshape(SIZE, SIZE, -1)


def symbolic(state: State, shape: tuple[int, int]) -> Array:
    """uint8 [W, H, 3]: the triple of every cell."""
    slots = np.arange(shape[0] * shape[1], dtype=np.uint8 if state.cells.size <= 256 else np.uint16)
    agent = (cells.AGENT + 16 * state.direction).astype(jnp.uint8)
    here = slots == state.position.astype(slots.dtype)
    return triple(jnp.where(here, agent, state.cells[:-2])).reshape(*shape, 3)


def triple(codes: Array) -> Array:
    """uint8 [n, 3]: MiniGrid's (type, colour, state) of each of n codes.

    The channels are chosen by comparison, because stacking three arrays is many times slower.
    """
    types, colours, states = cells.parts(codes[:, None])
    channel = np.arange(3)
    return jnp.where(channel == 0, types, jnp.where(channel == 1, colours, states)).astype(jnp.uint8)


def codes_ahead(shape: tuple[int, int]) -> See:
    """state -> int32 [49]: the code of each cell of the egocentric view, 0 where it is hidden."""
    seen_from, lines_from = _cells_ahead(shape), _lines_ahead(shape)
    row = np.tile(np.arange(SIZE), SIZE)
    bit = 1 << (np.repeat(np.arange(SIZE), SIZE) + SIZE * (row % 4))  # of cell [i, j] in its word
    first, second = (np.where(half, bit, 0).astype(np.uint32) for half in (row < 4, row >= 4))

    def codes(state: State) -> Array:
        pose = state.position * 4 + state.direction
        found = rules.read(state.cells, rules.read(jnp.asarray(seen_from), pose))
        if not isinstance(state.sight, tuple):
            words = visible(state, rules.read(jnp.asarray(lines_from), pose))
            found = jnp.where((words[0] & first) | (words[1] & second) != 0, found, cells.UNSEEN)
        return found

    return codes


def visible(state: State, lines: Array) -> tuple[Array, Array]:
    """The cells that can be seen, as bits: rows 0 to 3 of the view in one word, 4 to 6 in the other, 7 bits each.

    lines [8]: which line of sight each row of the view is, and the bit at which the view begins. MiniGrid's rule: from
    the agent's row outwards, sight spreads along a row through clear cells, and from each clear cell that it has
    reached to the three cells beyond. That is the same from left and right, so bits may run either way here.
    """
    clear = rules.read(state.sight, lines[:SIZE]) >> lines[SIZE].astype(jnp.uint32)
    words, reached = [jnp.uint32(0), jnp.uint32(0)], jnp.uint32(1 << MARGIN)
    for row in reversed(range(SIZE)):
        reached, spread = _along(reached, clear[row] & 0x7F)
        words[row // 4] = words[row // 4] | (reached << (SIZE * (row % 4)))
        reached = spread
    mirrored = (state.direction == 1) | (state.direction == 2)  # there the view's left is where coordinates grow
    first, second = (settled(jnp.where(mirrored, _mirror(word), word)) for word in words)
    return first, second


def _along(reached: Array, clear: Array) -> tuple[Array, Array]:
    """(what is seen of a row of 7 bits, what of the row beyond it), from the cells reached first and the clear ones."""
    right = ((clear + (reached & clear)) ^ clear) | reached  # the carry of a sum runs on through clear cells
    left = reached | ((reached & clear) >> 1)
    two = clear & (clear << 1)
    left = left | ((left & two) >> 2)
    left = left | ((left & two & (two << 2)) >> 4)
    seen = (left | right) & 0x7F
    through = seen & clear
    return seen, (through | (through << 1) | (through >> 1)) & 0x7F


def _mirror(word: Array) -> Array:
    """A word of rows of 7 bits, each of them reversed: first both sides are exchanged, then each side is reversed."""
    word = ((word & _bits(0, 1, 2)) << 4) | (word & _bits(3)) | ((word >> 4) & _bits(0, 1, 2))
    return ((word & _bits(0, 4)) << 2) | (word & _bits(1, 3, 5)) | ((word >> 2) & _bits(0, 4))


def _bits(*places: int) -> np.uint32:
    """These bits of each row of 7."""
    return np.uint32(sum(1 << (place + SIZE * row) for place in places for row in range(4)))


def _poses(shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """(x, y, x step, y step) of every pose position * 4 + direction, int [W * H * 4, 1] each."""
    x, y, direction = (each.reshape(-1, 1) for each in np.indices((*shape, 4)))
    return x, y, np.array([1, 0, -1, 0])[direction], np.array([0, 1, 0, -1])[direction]


def _cells_ahead(shape: tuple[int, int]) -> np.ndarray:
    """[W * H * 4, 49]: which cell of the state each cell [i, j] of the view shows, from each pose."""
    x, y, dx, dy = _poses(shape)
    i, j = np.indices((SIZE, SIZE)).reshape(2, -1)
    far, side = SIZE - 1 - j, i - MARGIN
    x, y = x + far * dx - side * dy, y + far * dy + side * dx
    inside = (x >= 0) & (x < shape[0]) & (y >= 0) & (y < shape[1])
    slots = np.where(inside, x * shape[1] + y, shape[0] * shape[1])
    slots[:, MARGIN * SIZE + SIZE - 1] = shape[0] * shape[1] + 1  # the agent's own cell shows what it carries
    return slots.astype(np.uint8 if slots.max() < 256 else np.uint16)


def _lines_ahead(shape: tuple[int, int]) -> np.ndarray:
    """uint8 [W * H * 4, 8]: which line of sight each row of the view is, from each pose, and the bit it begins at."""
    x, y, dx, dy = _poses(shape)
    far = np.arange(SIZE)[::-1]
    lines = np.where(dx != 0, x + far * dx, shape[0] + y + far * dy)
    low, high = np.where(dx != 0, 0, shape[0]), np.where(dx != 0, shape[0], sum(shape))
    inside = (lines >= low) & (lines < high)
    return np.hstack([np.where(inside, lines, sum(shape)), np.where(dx != 0, y, x)]).astype(np.uint8)
