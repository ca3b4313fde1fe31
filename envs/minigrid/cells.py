"""What a cell holds, as one byte: kind + 16 * colour. The agent's direction takes the place of its colour.

The first eleven kinds are MiniGrid's object types; a closed and a locked door and a box that holds something have
kinds of their own, so that a byte says everything about a cell.
"""

from typing import Any

import numpy as np

UNSEEN, EMPTY, WALL, FLOOR, OPEN, KEY, BALL, BOX, GOAL, LAVA, AGENT, CLOSED, LOCKED, FILLED = range(14)
RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
NUM_TYPES, NUM_COLOURS, NUM_STATES = 11, 6, 3

GREY_WALL, GREEN_GOAL, RED_LAVA = WALL + 16 * GREY, GOAL + 16 * GREEN, LAVA + 16 * RED
OVERLAPPED, CARRIED, OPAQUE = (EMPTY, FLOOR, OPEN, GOAL, LAVA), (KEY, BALL, BOX, FILLED), (WALL, CLOSED, LOCKED)


def members(kinds: tuple[int, ...]) -> np.uint32:
    """A set of kinds as bits, so that membership is one shift."""
    return np.uint32(sum(1 << kind for kind in kinds))


def parts(code: Any) -> tuple[Any, Any, Any]:
    """MiniGrid's (type, colour, state) of codes of any shape, of numpy or jax; a door's state is 0 open, 1 closed,
    2 locked, the agent's its direction."""
    kind, colour = code & 15, code >> 4
    door, agent = (kind == CLOSED) | (kind == LOCKED), kind == AGENT
    types = kind - door * (kind - OPEN) - (kind == FILLED) * (FILLED - BOX)
    return types, colour * ~agent, agent * colour + door * (kind - AGENT)


def triples() -> np.ndarray:
    """uint8 [256, 3]: the (type, colour, state) of each byte."""
    return np.stack(parts(np.arange(256)), -1).astype(np.uint8)


def one_hots() -> np.ndarray:
    """uint8 [256, 20]: the triple of each byte as three one-hot vectors of 11, 6 and 3 in a row."""
    parts = zip(triples().T, (NUM_TYPES, NUM_COLOURS, NUM_STATES), strict=True)
    return np.concatenate([part[:, None] == np.arange(n) for part, n in parts], -1).astype(np.uint8)
