"""Deep sea (Osband et al. 2019, "Deep exploration via randomized value functions"; bsuite's `deep_sea`).

The agent sinks through N x N cells, one row per step, to the left or to the right; the treasure lies to the right of
the last row, so that only N moves right in a row find it. Which action means right differs from cell to cell.

Observation: int32 [], the agent's cell, row * N + column; N * N on the ground. (bsuite shows the one-hot picture.)
Action: int32 [], 0 or 1; one of the two moves right, the other left. The sides of the sea hold the agent.
Reward: -`move_cost` / N for every move right, and 1 for the treasure. The best return is 1 - `move_cost`.
Termination: after N steps.
Start: (0, 0). Measures: success, 1 with the treasure.
Parameters: int32 [N, N], the action that moves right, drawn from `mapping_seed` exactly as bsuite draws it.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least
from jaxrl.types import Array, Environment, Key, Model


def deep_sea(
    size: int = 8, mapping_seed: int = 42, randomize_actions: bool = True, move_cost: float = 0.01
) -> Environment:
    """N = size. Without `randomize_actions` 1 is right everywhere, which makes the sea easy.

    States: the cells, then N * N, on the ground, and N * N + 1, there with the treasure.
    """
    at_least("size", size, 1)
    draws = np.random.RandomState(mapping_seed).binomial(1, 0.5, (size, size))
    mapping = (draws if randomize_actions else np.ones((size, size))).astype(np.int32)
    states, right, end = np.arange(size * size + 2)[:, None], np.arange(2), size * size
    row, column, ended = states // size, states % size, states >= end
    finds = (states == end - 1) & (right == 1)
    below = (row + 1) * size + np.clip(column + 2 * right - 1, 0, size - 1)
    pays = (column == size - 1) & (right == 1)  # reached from the start in the last row alone
    reward = np.where(ended, 0.0, pays - right * move_cost / size)
    next_state = np.where(ended, states, np.where(finds, end + 1, np.minimum(below, end)))
    meant = tables(1.0, next_state[..., None], reward[..., None], (next_state >= end)[..., None], states[:, 0] == 0)
    cells = np.arange(end + 2)
    env = tabular(meant, None, np.minimum(cells, end), measures={"success": cells == end + 1})

    def step(key: Key, state: Array, action: Array, params: Array) -> tuple[Array, Array, Array, Array]:
        means_right = jnp.asarray(params).reshape(-1)[jnp.minimum(state, end - 1)]
        return env.step(key, state, (action == means_right).astype(jnp.int32), ())

    def model(params: Any) -> Model:
        means_right = np.append(params, [1, 1])[:, None]
        taken = (np.arange(2) == means_right).astype(int)[..., None]
        chosen = [np.take_along_axis(np.asarray(table), taken, 1) for table in meant[:4]]
        return tables(chosen[0], chosen[1], chosen[2], chosen[3], meant.start)

    letters = np.full((size, size), ".")
    letters[-1, -1] = "G"
    looks = render.LOOKS | {".": ("ice", "block")}
    picture = render.on_map(letters, looks, [(np.where(cells < end, cells, -1), render.AGENT)])
    return env._replace(step=step, params=mapping, model=model, render=picture)
