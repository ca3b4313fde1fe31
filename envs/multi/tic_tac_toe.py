"""Tic-tac-toe for two: three in a row win.

Observation: uint8 [3, 3, 3]. Action: int32 [], the cell 0 to 8, row by row, or 9: wait. For the rest see `boards`.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.multi.boards import Rules, board_game
from jaxrl.types import Array, Environment


def tic_tac_toe() -> Environment:
    """Bit k of the one word of stones is cell k."""
    bits = 1 << np.arange(9)
    cells = bits.reshape(3, 3)
    lines = np.concatenate([cells.sum(0), cells.sum(1), [np.trace(cells), np.trace(cells[:, ::-1])]]).astype(np.int32)

    def place(own: Array, everything: Array, move: Array) -> Array:
        return own | (1 << move)

    return board_game(
        Rules(
            shape=(3, 3),
            num_moves=9,
            num_words=1,
            open=lambda everything: everything & bits.astype(np.int32) == 0,
            place=place,
            won=lambda stones: jnp.any(stones & lines == lines),
            cells=lambda stones: stones[..., None] & cells.astype(np.int32) != 0,
        )
    )
