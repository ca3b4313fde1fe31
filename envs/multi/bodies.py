"""Bodies of the particle worlds, and what the actions of agents with different bodies mean.

Discrete: int32 [A], 0 nothing, 1 left, 2 right, 3 down, 4 up for who moves; the word for who only speaks;
    word * 5 + move for who does both. What lies beyond an agent's own number of actions is not legal.
Continuous: float [A, n] in [0, 1], (unused, left, right, down, up) for who moves, then for who speaks how loud each
    word is; what lies beyond an agent's own entries is not read.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete, Space
from jaxrl.types import Array

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


class Body(NamedTuple):
    """What never changes about an agent or a landmark."""

    colour: str
    size: float = 0.05  # radius
    collides: bool = False
    acceleration: float = 5.0  # of an agent; 0: it cannot move
    max_speed: float = np.inf
    speaks: bool = False
    spread: float = 1.0  # it starts within this distance of the origin, along each axis


Decoder = Callable[[Array], tuple[Array, Any]]  # actions of all agents -> (force [A, 2], message [A, W] or ())


def decoder(agents: Sequence[Body], num_words: int, actions: str) -> tuple[Decoder, Space, np.ndarray | None]:
    """(what actions do, the space of one agent, legal bool [A, n] unless all are)."""
    if actions == "discrete":
        return _discrete(agents, num_words)
    if actions == "continuous":
        return _continuous(agents, num_words)
    raise UsageError(f"actions is {actions!r}: expected 'discrete' or 'continuous'")


def _discrete(agents: Sequence[Body], num_words: int) -> tuple[Decoder, Space, np.ndarray | None]:
    """Two tables: the force and the message of each agent's each action; none of either beyond its own actions."""
    moves = [len(MOVES) if body.acceleration > 0 else 1 for body in agents]
    words = [num_words if body.speaks else 1 for body in agents]
    sizes = np.multiply(moves, words)
    forces = np.zeros((len(sizes) * sizes.max(), 2), np.float32)
    messages = np.zeros((len(sizes) * sizes.max(), num_words), np.float32)
    for i, body in enumerate(agents):
        for action in range(sizes[i]):
            forces[i * sizes.max() + action] = body.acceleration * np.array(MOVES[action % moves[i]])
            if body.speaks:
                messages[i * sizes.max() + action, action // moves[i]] = 1

    def decode(action: Array) -> tuple[Array, Any]:
        place = np.arange(len(sizes)) * sizes.max() + action
        force, message = (jnp.take(flat, place, axis=0, mode="clip") for flat in (forces, messages))
        return force, message if num_words else ()

    legal = np.arange(sizes.max()) < sizes[:, None]
    return decode, Discrete(int(sizes.max())), None if legal.all() else legal


def _continuous(agents: Sequence[Body], num_words: int) -> tuple[Decoder, Space, np.ndarray | None]:
    acceleration = np.array([body.acceleration for body in agents], np.float32)[:, None]
    before = [len(MOVES) if body.acceleration > 0 else 0 for body in agents]  # entries before the words
    speaks = [body.speaks for body in agents]
    width = max(b + num_words * s for b, s in zip(before, speaks, strict=True))

    def decode(action: Array) -> tuple[Array, Any]:
        force = jnp.asarray(acceleration) * (action[:, 2:5:2] - action[:, 1:4:2])
        if not num_words:
            return force, ()
        silence = jnp.zeros(num_words)
        said = [action[i, before[i] : before[i] + num_words] if speaks[i] else silence for i in range(len(before))]
        return force, jnp.stack(said)

    return decode, Box(0.0, 1.0, (width,)), None
