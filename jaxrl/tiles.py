"""Tile coding of continuous features (Sutton and Barto 2018, 9.5.4): grids over one box, offset from one another.

Tiling k of n is moved by k * (1, 3, 5, ...) / n of a tile, so that the corners of the tilings do not lie on a diagonal,
as they would with equal offsets. A grid has one tile more per axis than fit into the box, which the offset brings in.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError, at_least
from jaxrl.types import Array


class Tiles(NamedTuple):
    indices: Callable[[Array], Array]  # features [..., d] -> int32 [..., tilings]: the tile of each tiling
    size: int  # tiles over all tilings; every tile has its own index below this


def tile_coding(low: Any, high: Any, tiles: int, tilings: int) -> Tiles:
    """`tilings` grids of `tiles` per axis over the box from low [d] to high [d]; what lies outside is moved in."""
    at_least("tiles", tiles, 1)
    at_least("tilings", tilings, 1)
    low, high = np.asarray(low, np.float32).ravel(), np.asarray(high, np.float32).ravel()
    if low.shape != high.shape or not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise UsageError(
            f"tiles from {low.tolist()} to {high.tolist()}: expected finite bounds, low < high on each axis"
        )
    moves = np.arange(tilings)[:, None] * (2 * np.arange(low.size) + 1) % tilings  # [tilings, d]
    offsets = np.float32(moves / tilings)  # of a tile
    per_tiling, at_most = (tiles + 1) ** low.size, 2**31 - 1
    if tilings * per_tiling > at_most:
        raise UsageError(f"{tilings} tilings of {tiles} tiles on {low.size} axes: expected at most {at_most} in all")
    strides = ((tiles + 1) ** np.arange(low.size)).astype(np.int32)
    starts = (np.arange(tilings) * per_tiling).astype(np.int32)

    def indices(features: Array) -> Array:
        scaled = jnp.clip((features - low) / (high - low) * tiles, 0, tiles)
        cells = jnp.floor(scaled[..., None, :] + offsets).astype(jnp.int32)
        return jnp.sum(jnp.minimum(cells, tiles) * strides, -1) + starts

    return Tiles(indices, tilings * per_tiling)
