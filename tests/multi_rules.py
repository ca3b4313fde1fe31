"""Shared by the tests of worlds with several agents: stepping many injected states, and plain-Python maps."""

import functools
import itertools
from typing import Any

import contracts
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Environment

KEY = jax.random.key(0)


def stacked(kind: Any, rows: list[Any]) -> Any:
    """A state whose leaves [N, ...] hold the rows."""
    return kind(*(jnp.asarray(np.array(column)) for column in zip(*rows, strict=True)))


@functools.cache
def program(make: Any) -> tuple[Environment, Any]:
    env = make()
    return env, contracts.quick(jax.vmap(env.step, (0, 0, 0, None)))


def stepped(make: Any, states: Any, actions: Any, params: Any = None) -> Any:
    env, step = program(make)
    keys = jax.random.split(KEY, len(actions))
    after, obs, reward, terminated = step(keys, states, jnp.asarray(actions), env.params if params is None else params)
    return jax.tree.map(np.asarray, (after, obs, reward, terminated))


def beside(cell: int, height: int, width: int, moves: Any = ((-1, 0), (0, 1), (1, 0), (0, -1))) -> list[int | None]:
    """The cell that each move leads to, None outside of the map."""
    row, column = divmod(cell, width)
    places = [(row + down, column + right) for down, right in moves]
    return [r * width + c if 0 <= r < height and 0 <= c < width else None for r, c in places]


def windows(centres: list[int], layers: list[set[int]], size: tuple[int, int], sight: int) -> np.ndarray:
    """What is seen around each centre [A, side, side, layers]; a layer that is None shows what is outside."""
    side = 2 * sight + 1
    seen = np.zeros((len(centres), side, side, len(layers)), np.uint8)
    for i, (dr, dc) in itertools.product(range(len(centres)), itertools.product(range(side), repeat=2)):
        row, column = (place + d - sight for place, d in zip(divmod(centres[i], size[1]), (dr, dc), strict=True))
        inside = 0 <= row < size[0] and 0 <= column < size[1]
        cell = row * size[1] + column if inside else -1
        seen[i, dr, dc] = [cell in layer for layer in layers]
    return seen
