"""The blocking maze and the shortcut maze (Sutton & Barto 2018, examples 8.2 and 8.3): the wall changes on the way.

The map has 6 x 9 cells and a wall across. In the blocking maze its gap moves, after 1000 steps of experience, from the
right (10 steps to the goal) to the left (16); in the shortcut maze, after 3000, a gap opens on the right as well.

Observation: int32 [], the agent's cell, row * 9 + column.
Action: int32 [], 0 up, 1 right, 2 down, 3 left; walls and the edge of the map hold the agent.
Reward: 1 for the step onto the goal, else 0.
Termination: on the goal (0, 8). Limit: none in the book, `max_steps` where one is wanted.
Start: (5, 3). Measures: success, 1 on the goal; changed, 1 while the second map holds.
Parameters: `Clock`, the experience of the whole run, of which an episode knows nothing: a run moves it on by
    `make_trainer(agent, venv, rollout_length, update_task=advance)`, and the wall changes between two rollouts.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl import trees
from jaxrl.envs import grid
from jaxrl.envs.gridworld import LETTERS, picture, rules
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least, unknown
from jaxrl.types import Array, Environment, Key, Model, Rollout

EMPTY, OPEN_LEFT, OPEN_RIGHT, OPEN_BOTH = ".........", ".########", "########.", ".#######."
VARIANTS = {"blocking": (OPEN_RIGHT, OPEN_LEFT), "shortcut": (OPEN_LEFT, OPEN_BOTH)}


class Clock(NamedTuple):
    steps: Array  # int32 [] steps that the run has made so far
    change_at: Array  # int32 [] from this step on the second map holds


def advance(key: Key, task: Clock, rollout: Rollout, info: dict[str, Array]) -> Clock:
    """The clock after a rollout [T, N], an `update_task`: the steps of all rows count."""
    return task._replace(steps=trees.count_up(task.steps, jnp.sum(rollout.steps.valid, dtype=jnp.int32)))


def blocking_maze(variant: str = "blocking", change_at: int = 1000, max_steps: int | None = None) -> Environment:
    """variant: "blocking" or "shortcut" (where the book lets the wall change at 3000)."""
    if variant not in VARIANTS:
        raise unknown("variant of blocking_maze", variant, VARIANTS)
    at_least("change_at", change_at, 0)
    layouts = [f"........G/{EMPTY}/{EMPTY}/{wall}/{EMPTY}/...S....." for wall in VARIANTS[variant]]
    maps = [grid.parse(layout, LETTERS, required="SG") for layout in layouts]
    models, pictures = [rules(letters, 0.0, 1.0, 0.0) for letters in maps], [picture(letters) for letters in maps]
    num_cells, goal = maps[0].size, int(np.flatnonzero(maps[0] == "G")[0])
    cells = np.tile(np.arange(num_cells), 2)
    env = tabular(_one_after_the_other(*models), max_steps, cells)

    def changed(clock: Clock) -> Array:
        return jnp.asarray(clock.steps >= clock.change_at, jnp.int32)

    def step(key: Key, state: Array, action: Array, params: Clock) -> tuple[Array, Array, Array, Array]:
        _, cell, reward, terminated = env.step(key, state + changed(params) * num_cells, action, ())
        return cell, cell, reward, terminated

    def measure(state: Array, params: Clock) -> dict[str, Array]:
        return {"success": jnp.float32(state == goal), "changed": jnp.float32(changed(params))}

    def draw(state: Array, params: Clock) -> Array:
        return jnp.where(changed(params), pictures[1](state, ()), pictures[0](state, ()))

    return env._replace(
        step=step,
        params=Clock(*np.array([0, change_at], np.int32)),
        measure=measure,
        model=lambda params: models[int(changed(params))],
        render=draw,
    )


def _one_after_the_other(before: Model, after: Model) -> Model:
    """2 S states: those of the first map, where episodes start, then those of the second."""
    num_states = len(before.start)
    pairs = zip(before, after._replace(next_state=after.next_state + num_states, start=0 * after.start), strict=True)
    return tables(*(np.concatenate(pair) for pair in pairs))
