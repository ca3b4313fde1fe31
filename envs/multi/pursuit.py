"""Predator and prey, where hunters must catch together (Boehmer, Kurin & Whiteson 2020, "Deep coordination graphs").

Observation: uint8 [2 * sight + 1, 2 * sight + 1, 2], the window around the hunter: other hunters and itself, prey.
    Cells outside of the map and those who have left show nothing. State: int32 [A + P], all cells (left: size ** 2).
Action: int32 [], 0 up, 1 right, 2 down, 3 left, 4 stay, 5 catch. Legal: moves into a free cell; to catch beside prey.
Reward: one for all: `capture_reward` for each prey caught and `penalty` for each hunter whose catch failed.
Step: the hunters move all at once (`crowd.moved`); then each prey beside at least `needed` hunters who catch is
    caught, and it and those hunters leave the map; then the prey move all at once, each to a random free cell beside.
Termination: of a hunter when it has left; of all when no prey is left. Limit: `max_steps`.
Start: all on different cells, uniformly. Measures: captured, the prey caught; success, 1 when none is left.

In the original the moves of a step are made one after the other in a random order.
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

MOVES = (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT, crowd.STAY, crowd.STAY)
STAY, CATCH = 4, 5


class State(NamedTuple):
    hunters: Array  # int32 [A] cells; size ** 2 for one who has left
    prey: Array  # int32 [P]


def pursuit(
    size: int = 10,
    num_agents: int = 8,
    num_prey: int = 8,
    needed: int = 2,
    capture_reward: float = 10.0,
    penalty: float = 0.0,
    sight: int = 2,
    max_steps: int | None = 200,
) -> Environment:
    """Hunters and prey on a square of `size` cells a side; it takes `needed` hunters at once to catch."""
    _check(size, num_agents, num_prey, needed, sight)
    gone, steps, window = size * size, crowd.steps((size, size), MOVES), crowd.around((size, size), sight)
    side = 2 * sight + 1

    def observe(state: State) -> Observation:
        view = jnp.asarray(window)[state.hunters]
        codes = crowd.holds(view, state.hunters) * jnp.uint8(1) + crowd.holds(view, state.prey) * jnp.uint8(2)
        features = crowd.layers(codes, 2).reshape(num_agents, side, side, 2)
        world = jnp.concatenate([state.hunters, state.prey])
        return Observation(features, state=jnp.broadcast_to(world, (num_agents, *world.shape)))

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        bodies, _ = crowd.settle(jax.random.uniform(key, (num_agents + num_prey,)), jnp.ones(gone, bool))
        state = State(bodies[:num_agents], bodies[num_agents:])
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        paths = jnp.asarray(steps)
        hunters = crowd.moved(state.hunters, paths[state.hunters, action], state.prey)
        state, captured, failed = _catch(paths, hunters, state.prey, action == CATCH, needed, gone)
        beside = paths[state.prey, :STAY]  # where there is no way on, the cell itself: never free
        free = ~crowd.holds(beside, jnp.concatenate(state))
        chosen = crowd.pick(jax.random.uniform(key, (num_prey,)), free)
        wanted = jnp.where(free.any(1), jnp.take_along_axis(beside, chosen[:, None], 1)[:, 0], state.prey)
        state = State(state.hunters, crowd.moved(state.prey, wanted, state.hunters))
        reward = capture_reward * captured + penalty * failed
        terminated = (state.hunters == gone) | jnp.all(state.prey == gone)
        return state, observe(state), jnp.broadcast_to(reward, (num_agents,)), terminated

    def legal_actions(state: State, params: Any) -> Array:
        beside = jnp.asarray(steps)[state.hunters, :STAY]
        free = ~crowd.holds(beside, jnp.concatenate(state))
        catch = crowd.holds(beside, state.prey).any(1) & (state.hunters < gone)
        return jnp.concatenate([free, jnp.ones((num_agents, 1), bool), catch[:, None]], axis=1)

    def measure(state: State, params: Any) -> dict[str, Array]:
        captured = jnp.sum(state.prey == gone, dtype=jnp.float32)
        return {"captured": captured, "success": (captured == num_prey).astype(jnp.float32)}

    def picture(state: State, params: Any) -> Array:
        atlas = np.stack([render.tile("silver", "block"), render.tile("blue", "disc"), render.tile("red", "diamond")])
        cells = jnp.arange(gone).reshape(size, size)
        return render.mosaic(atlas, crowd.holds(cells, state.hunters) + 2 * crowd.holds(cells, state.prey))

    return Environment(
        reset, step, Box(0, 1, (side, side, 2), np.uint8), Discrete(6), max_steps=max_steps, num_agents=num_agents,
        legal_actions=legal_actions, measure=measure, render=picture,
    )  # fmt: skip


def _catch(
    paths: Array, hunters: Array, prey: Array, catching: Array, needed: int, gone: int
) -> tuple[State, Array, Array]:
    """(who is left where, the number of prey caught, that of hunters whose catch failed)."""
    beside = paths[hunters, :STAY]
    reaches = jnp.any(beside[:, :, None] == prey, axis=1) & (catching & (hunters < gone))[:, None]  # bool [A, P]
    caught = jnp.sum(reaches, axis=0) >= needed
    hunting, catchers = jnp.any(reaches, axis=1), jnp.any(reaches & caught, axis=1)
    left = State(jnp.where(catchers, gone, hunters), jnp.where(caught, gone, prey))
    counts = [jnp.sum(each, dtype=jnp.float32) for each in (caught, hunting & ~catchers)]
    return left, counts[0], counts[1]


def _check(size: int, num_agents: int, num_prey: int, needed: int, sight: int) -> None:
    for name, value in (("size", size), ("num_prey", num_prey), ("needed", needed), ("sight", sight)):
        at_least(name, value, 1)
    at_least("num_agents", num_agents, needed)
    if num_agents + num_prey > size * size:
        bodies = f"{num_agents} hunters and {num_prey} prey"
        raise UsageError(f"size is {size}: expected a map with at least as many cells as {bodies}")
