"""Connect four for two: stones fall down seven columns of six cells; four in a row, in any direction, win.

Observation: uint8 [6, 7, 3], row 0 at the top. Action: int32 [], the column 0 to 6, or 7: wait. For the rest see
`boards`.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.multi.boards import Rules, board_game
from jaxrl.types import Array, Environment

HEIGHT, WIDTH = 6, 7


def connect_four() -> Environment:
    """Word c of the stones is column c; its bit k is the cell k above the ground."""
    up = np.arange(HEIGHT - 1, -1, -1)[:, None]

    return board_game(
        Rules(
            shape=(HEIGHT, WIDTH),
            num_moves=WIDTH,
            num_words=WIDTH,
            open=lambda everything: everything < (1 << HEIGHT) - 1,
            place=_drop,
            won=_four_in_a_row,
            cells=lambda stones: (stones[..., None, :] >> up) & 1 != 0,
        )
    )


def _drop(own: Array, everything: Array, move: Array) -> Array:
    """A full column is all ones from the ground up, so adding one gives the bit above it."""
    return jnp.where(np.arange(WIDTH) == move, own | (everything + 1), own)


def _four_in_a_row(stones: Array) -> Array:
    """bool []: stones int32 [7] hold four upright, level, or on one of the two slopes."""
    a, b, c, d = (stones[i : i + WIDTH - 3] for i in range(4))
    upright = stones & (stones >> 1) & (stones >> 2) & (stones >> 3)
    level = a & b & c & d
    rising = a & (b >> 1) & (c >> 2) & (d >> 3)
    falling = (a >> 3) & (b >> 2) & (c >> 1) & d
    return jnp.any(upright != 0) | jnp.any((level | rising | falling) != 0)
