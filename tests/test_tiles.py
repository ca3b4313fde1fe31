"""Tile coding: the offsets of the book, every index in its place, and how far a point generalises."""

import jax
import numpy as np
import pytest

from jaxrl.errors import UsageError
from jaxrl.tiles import tile_coding


def by_hand(point, low, high, tiles, tilings):
    """One point in plain Python: tiling k is moved by k * (1, 3, 5, ...) / tilings of a tile, less whole tiles."""
    places = []
    for k in range(tilings):
        index = 0
        for axis in reversed(range(len(point))):
            scaled = (point[axis] - low[axis]) / (high[axis] - low[axis]) * tiles
            moved = (k * (2 * axis + 1) % tilings) / tilings
            index = index * (tiles + 1) + int(np.floor(min(max(scaled, 0), tiles) + moved))
        places.append(index + k * (tiles + 1) ** len(point))
    return places


@pytest.mark.parametrize(("axes", "tiles", "tilings"), [(1, 5, 4), (2, 4, 8), (3, 2, 5), (2, 1, 1)])
def test_every_index_is_the_one_by_hand(axes, tiles, tilings):
    """Eighths are exact in float32, so that points on an edge lie on the same side of it here and there."""
    generator = np.random.default_rng(0)
    low, high = np.full(axes, -1.0), np.arange(1.0, axes + 1)
    points = np.round(generator.uniform(low - 0.2, high + 0.2, (200, axes)) * 8) / 8
    coding = tile_coding(low, high, tiles, tilings)
    indices = np.asarray(jax.jit(coding.indices)(points.astype(np.float32)))
    assert indices.dtype == np.int32 and indices.shape == (200, tilings)
    agreed = (indices == [by_hand(point, low, high, tiles, tilings) for point in points]).all(1)
    on_an_edge = (np.abs((points - low) / (high - low) * tiles * tilings % 1 - 0.5) > 0.499).any(1)
    assert agreed[~on_an_edge].all() and agreed.mean() > 0.9
    starts = np.arange(tilings) * (tiles + 1) ** axes
    assert (indices >= starts).all() and (indices < starts + (tiles + 1) ** axes).all()
    assert coding.size == tilings * (tiles + 1) ** axes


def test_one_step_of_a_tiling_changes_one_tile():
    """Along a line, points a 1/n of a tile apart share all but one of n tiles; a tile apart, none."""
    coding = tile_coding([0.0], [10.0], 10, 8)
    points = np.arange(0.5, 80) / 8
    indices = np.asarray(coding.indices(points[:, None].astype(np.float32)))
    assert ((indices[1:] != indices[:-1]).sum(1) == 1).all()
    assert (indices[8:] != indices[:-8]).all()


def test_offsets_are_not_on_a_diagonal():
    """In two dimensions the tilings are moved by (1, 3) units, so their corners lie on no diagonal."""
    coding = tile_coding([0.0, 0.0], [4.0, 4.0], 4, 8)
    start = np.array([1.0625, 1.0625], np.float32)
    moves = [np.asarray(coding.indices(start + np.float32(d) / 8)) for d in ((0, 0), (1, 0), (0, 1), (1, 1))]
    changed = [int((moves[0] != move).sum()) for move in moves[1:]]
    assert changed == [1, 1, 2]


def test_what_lies_outside_is_moved_in():
    coding = tile_coding([0.0, -1.0], [1.0, 1.0], 3, 4)
    far = coding.indices(np.array([[9.0, -9.0], [-np.inf, np.inf]], np.float32))
    np.testing.assert_array_equal(far, coding.indices(np.array([[1.0, -1.0], [0.0, 1.0]], np.float32)))


@pytest.mark.parametrize(
    ("low", "high", "tiles", "tilings", "message"),
    [
        ([0.0, -np.inf], [1.0, 1.0], 4, 4, "expected finite bounds"),
        ([0.0, 1.0], [1.0, 1.0], 4, 4, "low < high on each axis"),
        ([0.0], [1.0], 0, 4, "tiles is 0: expected at least 1"),
        ([0.0], [1.0], 4, 0, "tilings is 0: expected at least 1"),
        ([0.0] * 20, [1.0] * 20, 8, 8, "on 20 axes: expected at most 2147483647"),
    ],
)
def test_what_cannot_be_tiled_is_refused(low, high, tiles, tilings, message):
    with pytest.raises(UsageError, match=message):
        tile_coding(low, high, tiles, tilings)
