"""Four rooms (Sutton, Precup & Singh 1999, "Between MDPs and semi-MDPs"): four hallways join them, for options.

The map has 11 x 11 cells and a wall around. With `goals="fixed"` all episodes share one goal, by default the eastern
hallway; with `goals="random"` every episode has its own, which the observation tells.

Observation: int32 [], the agent's cell, row * 13 + column; with random goals those of `goal_grid`.
Action: int32 [], 0 up, 1 right, 2 down, 3 left. It goes as meant with `success_rate`, else to any of the other sides.
    Walls hold the agent.
Reward: 1 for the step onto the goal, else 0.
Termination: on the goal. Limit: none in the original, 1000 steps in Bacon et al. 2017.
Start: uniform over the cells but the goal. Measures: success, 1 on the goal.
Parameters (fixed goal): int32 [], the goal's cell, so that a run can move it.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.goal_grid import LETTERS, State, goal_grid
from jaxrl.envs.tabular import tables
from jaxrl.errors import UsageError, unknown
from jaxrl.spaces import Discrete
from jaxrl.types import Array, Environment, Key, Model

LAYOUT = """
#############
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#.....#.....#
##.####.....#
#.....###.###
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#############
"""
GOALS = ("fixed", "random")


def four_rooms(
    goals: str = "fixed",
    goal: tuple[int, int] = (7, 9),
    success_rate: float = 2 / 3,
    max_steps: int | None = 1000,
) -> Environment:
    """goals: "fixed" or "random"; goal: the (row, column) of a fixed one."""
    if goals not in GOALS:
        raise unknown("goals", goals, GOALS)
    rooms = goal_grid(LAYOUT, success_rate, step_reward=0.0, goal_reward=1.0, max_steps=max_steps)
    if goals == "random":
        return rooms
    letters = grid.parse(LAYOUT, LETTERS, required=".")
    height, width = letters.shape
    if len(goal) != 2 or not (0 <= goal[0] < height and 0 <= goal[1] < width) or letters[tuple(goal)] != ".":
        raise UsageError(f"goal is {goal}: expected the row and the column, from 0 on, of a cell that is no wall")

    def reset(key: Key, params: Array) -> tuple[Array, Array]:
        first, second = rooms.reset(key, ())[0]  # different cells, so that one of them at least is not the goal
        cell = jnp.where(first == params, second, first)
        return cell, cell

    def step(key: Key, cell: Array, action: Array, params: Array) -> tuple[Array, Array, Array, Array]:
        state, _, reward, found = rooms.step(key, State(cell, params), action, ())
        return state.cell, state.cell, reward, found

    def model(params: Any) -> Model:
        probability, reached = grid.strays(grid.walled(letters, grid.FOUR), success_rate)
        found, free = reached == int(params), letters.ravel() == "."
        return tables(probability, reached, found, found, free & (np.arange(letters.size) != int(params)))

    picture = render.scene(letters, render.LOOKS, [("green", "block"), render.AGENT])
    return rooms._replace(
        reset=reset, step=step,
        observation_space=Discrete(letters.size),
        params=np.int32(goal[0] * width + goal[1]),
        measure=lambda cell, params: {"success": jnp.float32(cell == params)},
        model=model,
        render=lambda cell, params: picture(params, cell),
    )  # fmt: skip
