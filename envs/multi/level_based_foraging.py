"""Level-based foraging (Albrecht & Ramamoorthy 2013; Papoudakis et al. 2021): food needs agents of enough level.

Observation: float [3 * (num_foods + A)]: (row, column, level) of each food seen, row by row, then of the agent itself,
    then of each other agent seen; (-1, -1, 0) for what is missing. With `sight` the places are counted from the upper
    left corner of the agent's window. State: float, the same of everything, foods and agents in their own order.
Action: int32 [], 0 none, 1 north, 2 south, 3 west, 4 east, 5 load. Legal: moves inside of the map that no food bars;
    to load beside food. An illegal action is none.
Reward: for each agent that loads a food, its level * the food's level / (the levels of all who load it * the sum of all
    food levels at the start), so that an episode's rewards sum to 1 at most; `-penalty` for a load that fails.
Step: all move at once, and agents bound for the same cell (to stay is to be bound for one's own) all stay; then a
    food is loaded if the levels of the agents beside it that load reach its level.
Termination: of all, when no food is left. Limit: `max_steps`.
Start: agents on random cells with levels 1 to `max_level`; foods off the edge, none within two cells of another in a
    row or a column, nor diagonally beside it, with levels 1 to the sum of the three lowest agent levels (just that sum
    with `cooperative`). Measures: loaded, the share of the food's levels that is gone; success, 1 if that is all.

As in the original package `lbforaging` 2, an agent may enter the cell of another that meant to leave it but could not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.multi import crowd
from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Observation

MOVES = (crowd.STAY, grid.UP, grid.DOWN, grid.LEFT, grid.RIGHT)
LOAD = 5


class State(NamedTuple):
    agents: Array  # int32 [A] cells
    foods: Array  # int32 [F] cells
    agent_levels: Array  # int32 [A]
    food_levels: Array  # int32 [F]; 0 once it is loaded
    worth: Array  # int32: the sum of the food levels at the start


def level_based_foraging(
    size: int = 8,
    num_agents: int = 2,
    num_foods: int = 2,
    max_level: int = 2,
    sight: int | None = None,
    cooperative: bool = False,
    penalty: float = 0.0,
    max_steps: int | None = 50,
) -> Environment:
    """Agents and foods on a square of `size` cells a side (by default the task Foraging-8x8-2p-2f)."""
    for name, value, lowest in (("size", size, 3), ("num_agents", num_agents, 1), ("num_foods", num_foods, 1)):
        at_least(name, value, lowest)
    at_least("max_level", max_level, 1)
    at_least("sight", sight, 1)
    if num_agents >= size * size:
        raise UsageError(f"size is {size}: expected a map with more than {num_agents} cells, the number of agents")
    sight = size if sight is None else min(sight, size)
    highest = max_level * min(num_agents, 3)
    edge, low = size - 1.0, (-1.0, -1.0, 0.0) * (num_foods + num_agents)
    high = (edge, edge, float(highest)) * num_foods + (edge, edge, float(max_level)) * num_agents

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        state = _start(jax.random.uniform(key, (2, num_agents + num_foods)), size, num_agents, max_level, cooperative)
        return state, _observe(state, size, sight)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        state, reward = _load(_move(state, action, size), action == LOAD, size, penalty)
        terminated = jnp.broadcast_to(jnp.all(state.food_levels == 0), (num_agents,))
        return state, _observe(state, size, sight), reward, terminated

    def legal_actions(state: State, params: Any) -> Array:
        reached = _ways(state, size)
        move, load = reached != state.agents[:, None], jnp.any(_beside(state, size), 1)
        return jnp.concatenate([jnp.ones_like(load)[:, None], move[:, 1:], load[:, None]], axis=1)

    def measure(state: State, params: Any) -> dict[str, Array]:
        share = 1 - jnp.sum(state.food_levels) / jnp.maximum(state.worth, 1).astype(jnp.float32)
        return {"loaded": share, "success": jnp.all(state.food_levels == 0).astype(jnp.float32)}

    def picture(state: State, params: Any) -> Array:
        atlas = np.stack([render.tile("silver", "block"), render.tile("red", "dot"), render.tile("blue", "disc")])
        cells = jnp.arange(size * size).reshape(size, size)
        foods = crowd.holds(cells, jnp.where(state.food_levels > 0, state.foods, -1))
        return render.mosaic(atlas, jnp.where(crowd.holds(cells, state.agents), 2, foods))

    return Environment(
        reset, step, Box(low, high, (len(low),)), Discrete(6), max_steps=max_steps, num_agents=num_agents,
        legal_actions=legal_actions, measure=measure, render=picture,
    )  # fmt: skip


def _start(uniform: Array, size: int, num_agents: int, max_level: int, cooperative: bool) -> State:
    """From uniform numbers [2, A + F]: the first row gives the places, the second the levels."""
    row, column = np.indices((size, size)).reshape(2, -1)
    down, right = abs(row[:, None] - row), abs(column[:, None] - column)
    near = (np.maximum(down, right) <= 1) | ((np.minimum(down, right) == 0) & (down + right <= 2))
    inner = (row > 0) & (row < size - 1) & (column > 0) & (column < size - 1)
    agents, free = crowd.settle(uniform[0, :num_agents], jnp.ones(size * size, bool))
    foods, _ = crowd.settle(uniform[0, num_agents:], free & inner, jnp.asarray(near))
    levels = 1 + jnp.floor(uniform[1, :num_agents] * max_level).astype(jnp.int32)
    reach = jnp.sum(jnp.sort(levels)[:3])
    food_levels = 1 + jnp.floor(uniform[1, num_agents:] * reach).astype(jnp.int32)
    food_levels = jnp.where(foods < size * size, reach if cooperative else food_levels, 0)
    return State(agents, foods, levels, food_levels, jnp.sum(food_levels))


def _ways(state: State, size: int) -> Array:
    """int32 [A, 5]: where each move leads; the edge and food hold."""
    reached = jnp.asarray(crowd.steps((size, size), MOVES))[state.agents]
    barred = crowd.holds(reached, jnp.where(state.food_levels > 0, state.foods, -1))
    return jnp.where(barred, state.agents[:, None], reached)


def _beside(state: State, size: int) -> Array:
    """bool [A, F]: which foods, not loaded yet, each agent is beside of."""
    reached = jnp.asarray(crowd.steps((size, size), MOVES))[state.agents]
    return jnp.any(reached[:, :, None] == state.foods, axis=1) & (state.food_levels > 0)


def _move(state: State, action: Array, size: int) -> State:
    bound = jnp.append(_ways(state, size), state.agents[:, None], axis=1)[jnp.arange(action.shape[0]), action]
    alone = jnp.sum(bound[:, None] == bound, axis=1) == 1
    return state._replace(agents=jnp.where(alone, bound, state.agents))


def _load(state: State, loads: Array, size: int, penalty: float) -> tuple[State, Array]:
    """(what is left, reward float [A])."""
    reaches = _beside(state, size) & loads[:, None]
    levels = jnp.where(reaches, state.agent_levels[:, None], 0)  # [A, F]
    together = jnp.sum(levels, axis=0)
    loaded = (together > 0) & (together >= state.food_levels)
    share = levels * state.food_levels / jnp.maximum(together * state.worth, 1).astype(jnp.float32)
    reward = jnp.where(loaded, share, jnp.where(reaches, -penalty, 0.0))
    return state._replace(food_levels=jnp.where(loaded, 0, state.food_levels)), jnp.sum(reward, axis=1)


def _observe(state: State, size: int, sight: int) -> Observation:
    places = [jnp.stack(jnp.divmod(cells, size), -1) for cells in (state.foods, state.agents)]  # [F, 2], [A, 2]
    food, agents = places
    corner = jnp.maximum(agents - sight, 0)[:, None]  # [A, 1, 2] of each agent's window
    in_window = jnp.all(abs(food - agents[:, None]) <= sight, -1) & (state.food_levels > 0)
    # The original counts an agent as seen by its place from that corner alone, so farther near the upper left edges.
    from_corner = agents - corner
    in_view = jnp.all((from_corner >= 0) & (from_corner <= 2 * sight), -1)
    number = jnp.arange(agents.shape[0])
    order = jnp.where(number[:, None] == number, -1, number)  # itself first
    foods = _listed(in_window, jnp.broadcast_to(state.foods, in_window.shape), food - corner, state.food_levels)
    others = _listed(in_view, order, from_corner, state.agent_levels)
    world = [jnp.column_stack(each) for each in ((food, state.food_levels), (agents, state.agent_levels))]
    everything = jnp.concatenate([jnp.where(world[0][:, 2:] > 0, world[0], jnp.array([-1, -1, 0])), world[1]]).ravel()
    features = jnp.concatenate([foods, others], axis=1).astype(jnp.float32)
    return Observation(features, state=jnp.broadcast_to(everything.astype(jnp.float32), features.shape))


def _listed(seen: Array, order: Array, places: Array, levels: Array) -> Array:
    """int32 [A, 3 * M]: (row, column, level) of those seen [A, M], by `order` [A, M], without gaps."""
    num = seen.shape[1]
    rank = jnp.sum(seen[:, None, :] & (order[:, None, :] < order[:, :, None]), axis=-1)  # [A, M]
    values = jnp.concatenate([places, jnp.broadcast_to(levels[:, None], (*places.shape[:2], 1))], axis=-1)
    here = ((rank[:, :, None] == jnp.arange(num)) & seen[:, :, None])[..., None]  # [A, M, slot, 1]
    listed = jnp.sum(jnp.where(here, values[:, :, None], 0), axis=1)
    return jnp.where(jnp.any(here, axis=1), listed, jnp.array([-1, -1, 0])).reshape(seen.shape[0], 3 * num)
