"""Two rooms and one corridor (Switch of ma-gym, Koul 2019; after Sunehag et al. 2018, "Value-decomposition networks").

Agents start in opposite rooms and live in each other's, and the corridor between is one cell wide: they have to
take turns.

Observation: float [2], the agent's own (row, column), each divided by the largest and rounded to 2 decimals as in the
    original (whose clock is left to a transform). State: float [2 * A], that of all agents.
Action: int32 [], 0 down, 1 left, 2 up, 3 right, 4 stay.
Reward: 5 for the step onto the own home; `step_cost` for any other step; 0 once at home.
Step: agents move one after the other, 0 first; one stays where the way is barred by a wall or another agent. Who is at
    home stays there.
Termination: of an agent when it is at home. Limit: `max_steps`.
Start: agents 0 and 1 in the upper left and right, 2 and 3 in the lower left and right. Measures: home, the agents at
    home; success, 1 if that is all.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.multi import crowd
from jaxrl.errors import within
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Observation

ROOMS = "..###../......./..###.."
MOVES = (grid.DOWN, grid.LEFT, grid.UP, grid.RIGHT, crowd.STAY)
STARTS, HOMES = (1, 5, 15, 19), (6, 0, 20, 14)


def switch(num_agents: int = 2, step_cost: float = -0.1, max_steps: int | None = 50) -> Environment:
    """Two to four agents; the state is their cells int32 [A]."""
    within("num_agents", num_agents, 2, 4)
    letters = grid.parse(ROOMS, {"#": "wall", ".": "floor"}, required=".")
    reached = grid.neighbours(letters.shape, MOVES)
    paths = np.where(letters.ravel()[reached] == "#", np.arange(letters.size)[:, None], reached).astype(np.int32)
    homes = np.array(HOMES[:num_agents], np.int32)
    places = np.indices(letters.shape).reshape(2, -1).T / (np.array(letters.shape) - 1)
    seen = places.round(2).astype(np.float32)

    def observe(state: Array) -> Observation:
        own = jnp.asarray(seen)[state]
        return Observation(own, state=jnp.broadcast_to(own.ravel(), (num_agents, 2 * num_agents)))

    def reset(key: Key, params: Any) -> tuple[Array, Observation]:
        state = jnp.array(STARTS[:num_agents], jnp.int32)
        return state, observe(state)

    def step(key: Key, state: Array, action: Array, params: Any) -> tuple[Array, Observation, Array, Array]:
        at_home, after = state == homes, state
        wanted = jnp.where(at_home, state, jnp.asarray(paths)[state, action])
        for i in range(num_agents):
            free = ~crowd.holds(wanted[i], after)
            after = jnp.where((np.arange(num_agents) == i) & free, wanted, after)
        arrived = (after == homes) & ~at_home
        reward = jnp.where(at_home, 0.0, jnp.where(arrived, 5.0, step_cost)).astype(jnp.float32)
        return after, observe(after), reward, after == homes

    def measure(state: Array, params: Any) -> dict[str, Array]:
        home = jnp.sum(state == homes, dtype=jnp.float32)
        return {"home": home, "success": (home == num_agents).astype(jnp.float32)}

    def picture(state: Array, params: Any) -> Array:
        colours = ("red", "blue", "green", "orange")[:num_agents]
        atlas = [render.tile("white"), render.tile("grey")]
        atlas += [render.tile(colour, shape) for shape in ("frame", "disc") for colour in colours]
        plain = (letters == "#").ravel().astype(np.int32)
        plain[homes] = 2 + np.arange(num_agents)
        codes = jnp.asarray(plain).at[state].set(2 + num_agents + np.arange(num_agents))
        return render.mosaic(np.stack(atlas), codes.reshape(letters.shape))

    return Environment(
        reset, step, Box(0.0, 1.0, (2,)), Discrete(len(MOVES)), max_steps=max_steps, num_agents=num_agents,
        measure=measure, render=picture,
    )  # fmt: skip
