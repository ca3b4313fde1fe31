"""Pictures of worlds: tiles put together by a map of cells, circles and strokes in the plane.

Atlases are numpy, drawn once when a world is made; what depends on the state is traced, so that pictures can be
jitted and vmapped and need no display. A picture is uint8 [height, width, 3], row 0 at the top.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.errors import unknown
from jaxrl.types import Array

PIXELS = 16  # per tile side
COLOURS = {
    "white": (255, 255, 255),
    "silver": (222, 222, 222),
    "grey": (100, 100, 100),
    "black": (0, 0, 0),
    "red": (220, 50, 47),
    "green": (60, 170, 60),
    "blue": (50, 100, 220),
    "purple": (112, 39, 195),
    "yellow": (240, 200, 20),
    "orange": (240, 130, 30),
    "pink": (240, 140, 190),
    "brown": (130, 90, 50),
    "cyan": (60, 190, 210),
    "ice": (205, 230, 245),
}

Colour = str | tuple[int, int, int]

# Where a shape is, by x (to the right) and y (down), both from -1 to 1 over the tile.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "square": lambda x, y: x * x < np.inf,
    "block": lambda x, y: np.maximum(abs(x), abs(y)) < 0.9,  # a square with a rim of background: shows the grid
    "small": lambda x, y: np.maximum(abs(x), abs(y)) < 0.45,
    "frame": lambda x, y: np.maximum(abs(x), abs(y)) > 0.75,
    "box": lambda x, y: (np.maximum(abs(x), abs(y)) < 0.75) & ((np.maximum(abs(x), abs(y)) > 0.5) | (abs(y) < 0.12)),
    "disc": lambda x, y: x * x + y * y < 0.6,
    "ring": lambda x, y: (x * x + y * y < 0.7) & (x * x + y * y > 0.3),
    "dot": lambda x, y: x * x + y * y < 0.12,
    "diamond": lambda x, y: abs(x) + abs(y) < 0.85,
    "plus": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.25) & (np.maximum(abs(x), abs(y)) < 0.85),
    "cross": lambda x, y: (abs(abs(x) - abs(y)) < 0.3) & (abs(x) < 0.85) & (abs(y) < 0.85),
    "triangle_right": lambda x, y: (x > -0.7) & (abs(y) < 0.4 * (0.8 - x)),
    "triangle_down": lambda x, y: (y > -0.7) & (abs(x) < 0.4 * (0.8 - y)),
    "triangle_left": lambda x, y: (-x > -0.7) & (abs(y) < 0.4 * (0.8 + x)),
    "triangle_up": lambda x, y: (-y > -0.7) & (abs(x) < 0.4 * (0.8 + y)),
    "key": lambda x, y: (
        ((x * x + (y + 0.45) ** 2 < 0.16) & (x * x + (y + 0.45) ** 2 > 0.03))
        | ((abs(x) < 0.12) & (y > -0.1) & (y < 0.8))
        | ((x >= 0) & (x < 0.4) & ((abs(y - 0.65) < 0.12) | (abs(y - 0.3) < 0.12)))
    ),
    "door_open": lambda x, y: (x < -0.6) & (abs(y) < 0.95),
    "door_closed": lambda x, y: (np.maximum(abs(x), abs(y)) > 0.7) | ((x - 0.4) ** 2 + y * y < 0.04),
    "door_locked": lambda x, y: ~((abs(x - 0.35) < 0.12) & (abs(y) < 0.35)),
    "waves": lambda x, y: abs((y * 1.5 + 0.25 * np.sin(x * np.pi * 2)) % 1 - 0.5) < 0.16,
    "bar_up": lambda x, y: (abs(x) < 0.3) & (y < 0.8) & (y > -0.8),
    "bar_side": lambda x, y: (abs(y) < 0.3) & (x < 0.8) & (x > -0.8),
}


def rgb(colour: Colour) -> np.ndarray:
    """uint8 [3]: a colour by its name in `COLOURS`, or as three numbers from 0 to 255."""
    if isinstance(colour, str) and colour not in COLOURS:
        raise unknown("colour", colour, COLOURS)
    return np.asarray(COLOURS[colour] if isinstance(colour, str) else colour, np.uint8)


def tile(
    colour: Colour, shape: str = "square", pixels: int = PIXELS, background: Colour | np.ndarray = "white"
) -> np.ndarray:
    """uint8 [P, P, 3]: a coloured shape (one of `SHAPES`) on a plain background, or on another tile [P, P, 3]."""
    if shape not in SHAPES:
        raise unknown("shape", shape, SHAPES)
    places = (2 * np.arange(pixels) + 1 - pixels) / pixels
    x, y = np.meshgrid(places, places)
    below = background if isinstance(background, np.ndarray) else rgb(background)
    return np.where(SHAPES[shape](x, y)[..., None], rgb(colour), below).astype(np.uint8)


def mosaic(atlas: Any, cells: Any) -> Array:
    """The picture uint8 [H * P, W * P, 3] whose cell (row, column) shows atlas[cells[row, column]].

    atlas uint8 [K, P, P, 3]; cells int [H, W], each from 0 to K - 1.
    """
    atlas, cells = jnp.asarray(atlas), jnp.asarray(cells)
    (height, width), pixels = cells.shape, atlas.shape[1]
    tiles = jnp.take(atlas, cells, axis=0, mode="clip")  # [H, W, P, P, 3]
    return tiles.transpose(0, 2, 1, 3, 4).reshape(height * pixels, width * pixels, 3)


def circles(centres: Any, radii: Any, colours: Any, low: Any, high: Any, pixels: int = 256) -> Array:
    """The picture uint8 [pixels, pixels, 3] of n filled circles on white, later ones over earlier ones.

    centres float [n, 2] (x to the right, y up), radii float [n], colours uint8 [n, 3]; low and high are the corners
    of the part of the plane that is shown, float [2] or one number for both axes.
    """
    centres, radii, colours = jnp.asarray(centres), jnp.asarray(radii), jnp.asarray(colours, jnp.uint8)
    low, high = (jnp.broadcast_to(jnp.asarray(corner, jnp.float32), (2,)) for corner in (low, high))
    share = (jnp.arange(pixels) + 0.5) / pixels  # of the way from one side to the other, at each pixel's middle
    x, y = low[0] + share * (high[0] - low[0]), high[1] - share * (high[1] - low[1])
    distance = (y[:, None] - centres[:, 1, None, None]) ** 2 + (x - centres[:, 0, None, None]) ** 2  # [n, P, P]
    number = jnp.arange(1, centres.shape[0] + 1)[:, None, None]
    on_top = jnp.max(jnp.where(distance <= radii[:, None, None] ** 2, number, 0), axis=0, initial=0)
    return jnp.concatenate([jnp.full((1, 3), 255, jnp.uint8), colours])[on_top]


def strokes(background: Any, ends: Any, radii: Any, colours: Any, low: Any, high: Any) -> Array:
    """The picture `background` uint8 [H, W, 3] with n straight strokes over it, smooth at their rims, the last on top.

    ends float [n, 2, 2] (both ends of each, x to the right, y up; a stroke to where it starts is a disc), radii
    float [n] in the units of x, colours uint8 [n, 3]; low and high are the corners of what is shown, float [2].
    """
    picture, ends = jnp.asarray(background, jnp.float32), jnp.asarray(ends, jnp.float32)
    (height, width), (low, high) = picture.shape[:2], (jnp.asarray(low), jnp.asarray(high))
    x = low[0] + (jnp.arange(width) + 0.5) / width * (high[0] - low[0])
    y = high[1] - (jnp.arange(height) + 0.5) / height * (high[1] - low[1])
    pixel = (high[0] - low[0]) / width
    for i in range(ends.shape[0]):
        (x0, y0), along = ends[i, 0], ends[i, 1] - ends[i, 0]
        across, up = x - x0, (y - y0)[:, None]
        share = jnp.clip((across * along[0] + up * along[1]) / jnp.maximum(along @ along, 1e-9), 0, 1)
        distance = jnp.hypot(across - share * along[0], up - share * along[1])
        cover = jnp.clip((radii[i] - distance) / pixel + 0.5, 0, 1)[..., None]  # of each pixel
        picture = picture + cover * (jnp.asarray(colours[i], jnp.float32) - picture)
    return jnp.round(picture).astype(jnp.uint8)


Look = tuple[Colour, str]  # (colour, shape)
AGENT: Look = ("blue", "disc")
LOOKS: dict[str, Look] = {  # the letters that most maps share
    "S": ("silver", "block"),
    "G": ("green", "block"),
    "#": ("grey", "square"),
    ".": ("white", "block"),
}


def scene(
    letters: np.ndarray, looks: Mapping[str, Look], marks: Sequence[Look], pixels: int = PIXELS
) -> Callable[..., Array]:
    """A function (cell int [] of each mark) -> uint8 [H * P, W * P, 3]: a text map letters [H, W] with marks on it.

    looks: {letter: how its cell looks}. Later marks are drawn over earlier ones; one at a cell of -1 is not drawn.
    """
    kinds = sorted(looks)
    atlas = [tile(*looks[kind], pixels, background="silver") for kind in kinds]  # silver: the lines of the grid
    for look in marks:  # every tile that there is so far, and the same with this mark on it
        atlas += [tile(*look, pixels, background=below) for below in atlas]
    plain, cells = np.searchsorted(kinds, letters).ravel(), np.arange(letters.size)

    def draw(*places: Array) -> Array:
        codes = jnp.asarray(plain, jnp.int32)
        for i, (place, _) in enumerate(zip(places, marks, strict=True)):
            codes = codes + (cells == place) * (len(kinds) << i)
        return mosaic(np.stack(atlas), codes.reshape(letters.shape))

    return draw


def on_map(
    letters: np.ndarray, looks: Mapping[str, Look], marks: Sequence[tuple[np.ndarray, Look]], pixels: int = PIXELS
) -> Callable[[Array, Any], Array]:
    """`render` (state int [], params) -> uint8 [H * P, W * P, 3] of a finite world on a text map letters [H, W].

    marks: (cells int [S], look), the cell where the mark is in each state; the rest as in `scene`.
    """
    draw = scene(letters, looks, [look for _, look in marks], pixels)
    places = [np.asarray(cells, np.int32) for cells, _ in marks]
    return lambda state, params: draw(*(jnp.take(jnp.asarray(cells), state, mode="clip") for cells in places))
