"""The access-control queue (Sutton & Barto 2018, example 10.2), a continuing task: nothing ever ends.

A customer of a random priority stands at the head of a queue that never empties, before a number of servers. Each step
takes the customer in or turns them away, and brings the next one; every busy server, the one just taken included, then
is free again with probability `free_probability`. What counts is the average reward per step.

Observation: int32 [], free * P + priority, with free servers 0 .. `num_servers` and P kinds of priority.
Action: int32 [], 0 reject, 1 accept; where no server is free the customer is turned away in any case.
Reward: what the customer pays, `payments[priority]`, when taken in; else 0.
Termination: never. Limit: none.
Start: all servers are free; the priority is uniform, as it is at each step.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.render import mosaic, tile
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least, within
from jaxrl.types import Array, Environment


def access_control(
    num_servers: int = 10,
    payments: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    free_probability: float = 0.06,
    max_steps: int | None = None,
) -> Environment:
    """The book's ten servers and priorities that pay 1, 2, 4 and 8."""
    at_least("num_servers", num_servers, 1)
    at_least("number of payments", len(payments), 1)
    within("free_probability", free_probability, 0, 1)
    kinds = len(payments)
    free, priority = np.divmod(np.arange((num_servers + 1) * kinds), kinds)
    accepts = (free[:, None] > 0) & (np.arange(2) == 1)
    left = free[:, None] - accepts  # free servers before any busy one is done, [S, 2]
    counts = range(num_servers + 1)
    done = np.array([[_binomial(num_servers - i, j - i, free_probability) for j in counts] for i in counts])
    model = tables(
        probability=np.repeat(done[left], kinds, axis=-1) / kinds,
        next_state=np.arange(free.size),
        reward=np.where(accepts, np.asarray(payments)[priority][:, None], 0.0)[..., None],
        terminated=False,
        start=free == num_servers,
    )

    def picture(state: Array, params: Any) -> Array:
        """The servers, free ones first, and the customer: the darker, the more important."""
        servers = jnp.where(np.arange(num_servers) < state // kinds, 0, 1)
        return mosaic(np.stack(atlas), jnp.concatenate([servers, jnp.stack([2, 3 + state % kinds])])[None])

    shades = [(255 - 255 * (i + 1) // kinds,) * 3 for i in range(kinds)]
    atlas = [tile("green", "ring"), tile("red", "disc"), tile("white"), *(tile(shade, "diamond") for shade in shades)]
    return tabular(model, max_steps)._replace(render=picture)


def _binomial(trials: int, successes: int, probability: float) -> float:
    """How likely so many successes are; 0 for a negative number of them."""
    if successes < 0:
        return 0.0
    chance = probability**successes * (1 - probability) ** (trials - successes)
    return math.comb(trials, successes) * chance
