"""A common good: apples that regrow the better, the more are left around (Perolat et al. 2017), and a river to keep
clean, if the map has one (Hughes et al. 2018, "Inequity aversion improves cooperation in intertemporal social
dilemmas").

Observation: uint8 [2 * sight + 1, 2 * sight + 1, 4], the window around the agent: apples, agents (itself too), walls
    and what is outside of the map, polluted cells. State: int32 [A + K + R], the agents' cells, apples, pollution.
Action: int32 [], 0 up, 1 right, 2 down, 3 left, 4 stay; on a map with a river also 5 clean: no cell within one step
    (diagonals too) stays polluted.
Reward: 1 for the agent that steps onto an apple (or stands where one is).
Step: the agents move all at once (`crowd.moved`), eat and clean; then in each empty orchard cell where nobody stands an
    apple grows with probability `regrowth[number of apples among the eight cells around, 3 at most]` times
    max(0, 1 - share of the river that is polluted / `depletion`); then, while that share is below `depletion`, one of
    the river's clean cells is polluted with probability `pollution_rate`.
Termination: never. Limit: `max_steps`.
Start: the map's apples and pollution; agents on different free cells.
Measures: apples on the map; eaten, by all so far; equality, 1 - the Gini index of what each has eaten; polluted, the
    share of the river.
Map: A orchard cell with an apple, a without, R clean river, W polluted river, # wall, . free. Nobody is barred from
    river and orchard. The three probabilities are `params`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.multi import crowd
from jaxrl.errors import UsageError, at_least, within
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Observation

LETTERS = {
    "A": "apple",
    "a": "empty orchard",
    "R": "clean river",
    "W": "polluted river",
    "#": "wall",
    ".": "free cell",
}
LAYOUTS = {
    "harvest": """
..A.....A....A..
.AAA...AAA..AAA.
..A.....A....A..
................
....A......A....
...AAA....AAA...
....A......A....
................
""",
    "cleanup": """
WW..........aaa
WW..........aaa
WW..........aaa
RW..........aaa
RR..........aaa
RR..........aaa
RR..........aaa
""",
}
MOVES = (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT, crowd.STAY, crowd.STAY)
CLEAN = 5


class Params(NamedTuple):
    regrowth: Any  # float [4]: by the number of apples around: 0, 1, 2, 3 or more
    pollution_rate: Any  # float
    depletion: Any  # float: the polluted share at which nothing grows any more


class State(NamedTuple):
    agents: Array  # int32 [A] cells
    ground: Array  # bool [K + R]: there is an apple on the orchard's cell; the river's cell is polluted
    eaten: Array  # int32 [A] so far


class Land(NamedTuple):
    """The map as tables of its C cells; the ground is its orchard and its river."""

    shape: tuple[int, int]
    letters: np.ndarray  # [C]
    paths: np.ndarray  # int32 [C + 1, 6] where each action leads
    window: np.ndarray  # int32 [C + 1, W] the cells around
    orchard: np.ndarray  # int32 [K] cells
    river: np.ndarray  # int32 [R] cells
    kinds: np.ndarray  # int32 [C + 2] of each cell: its index in the ground, K + R for floor, K + R + 1 for wall
    near: np.ndarray  # float32 [K, K] which cells of the orchard are next to each other
    reach: np.ndarray  # int32 [C + 1, 9] the cells that an agent cleans


def commons(
    layout: str = "harvest",
    num_agents: int = 4,
    regrowth: tuple[float, ...] = (0.0, 0.005, 0.02, 0.05),
    pollution_rate: float = 0.5,
    depletion: float = 0.4,
    sight: int = 3,
    max_steps: int | None = 500,
) -> Environment:
    """A map, or the name of one of `LAYOUTS`: "harvest", or "cleanup" (there with `regrowth=(0.05,) * 4`)."""
    land = _survey(LAYOUTS.get(layout, layout), sight)
    _check(land, num_agents, regrowth, pollution_rate, depletion, sight)
    side, floor = 2 * sight + 1, np.isin(land.letters, (".",))
    params = Params(np.asarray(regrowth, np.float32), np.float32(pollution_rate), np.float32(depletion))

    def reset(key: Key, params: Params) -> tuple[State, Observation]:
        agents, _ = crowd.settle(jax.random.uniform(key, (num_agents,)), jnp.asarray(floor))
        ground = jnp.asarray(np.isin(land.letters[np.append(land.orchard, land.river)], ("A", "W")))
        state = State(agents, ground, jnp.zeros(num_agents, jnp.int32))
        return state, _observe(land, state, side)

    def step(key: Key, state: State, action: Array, params: Params) -> tuple[State, Observation, Array, Array]:
        agents = crowd.moved(state.agents, jnp.asarray(land.paths)[state.agents, action], jnp.zeros(0, jnp.int32))
        apples, polluted = _parts(land, state)
        eats = jnp.any((agents[:, None] == land.orchard) & apples, axis=1)
        cleaned = jnp.where((action == CLEAN)[:, None], jnp.asarray(land.reach)[agents], -1).ravel()
        apples, polluted = apples & ~crowd.holds(land.orchard, agents), polluted & ~crowd.holds(land.river, cleaned)
        uniform = jax.random.uniform(key, (land.orchard.size + 2,))
        ground = _grow(land, uniform, agents, apples, polluted, params)
        state = State(agents, ground, state.eaten + eats)
        return state, _observe(land, state, side), eats.astype(jnp.float32), jnp.zeros(num_agents, bool)

    def measure(state: State, params: Params) -> dict[str, Array]:
        eaten = state.eaten.astype(jnp.float32)
        gaps = jnp.sum(abs(eaten[:, None] - eaten)) / (2 * num_agents * jnp.maximum(jnp.sum(eaten), 1))
        apples, polluted = _parts(land, state)
        report = {"apples": jnp.sum(apples, dtype=jnp.float32), "eaten": jnp.sum(eaten), "equality": 1 - gaps}
        return report | {"polluted": _share(polluted)}

    def picture(state: State, params: Params) -> Array:
        return _picture(land, state)

    return Environment(
        reset, step, Box(0, 1, (side, side, 4), np.uint8), Discrete(6 if land.river.size else 5), params=params,
        max_steps=max_steps, num_agents=num_agents, measure=measure, render=picture,
    )  # fmt: skip


def _survey(layout: str, sight: int) -> Land:
    letters = grid.parse(layout, LETTERS, required=".")
    shape, flat = letters.shape, letters.ravel()
    steps = crowd.steps(shape, MOVES)
    barred = np.append(flat == "#", False)[steps]
    orchard, river = (np.flatnonzero(np.isin(flat, kinds)).astype(np.int32) for kinds in (("A", "a"), ("R", "W")))
    ground = np.append(orchard, river)
    kinds = np.append(np.where(flat == "#", ground.size + 1, ground.size), [ground.size + 1] * 2).astype(np.int32)
    kinds[ground] = np.arange(ground.size)
    reach = crowd.around(shape, 1)
    near = (reach[orchard][:, :, None] == orchard).any(1).astype(np.float32)
    paths = np.where(barred, np.arange(flat.size + 1, dtype=np.int32)[:, None], steps)
    window = crowd.around(shape, sight)
    return Land(shape, flat, paths, window, orchard, river, kinds, near, reach)


def _parts(land: Land, state: State) -> tuple[Array, Array]:
    """(apples bool [K], pollution bool [R])."""
    return state.ground[: land.orchard.size], state.ground[land.orchard.size :]


def _share(polluted: Array) -> Array:
    return jnp.sum(polluted, dtype=jnp.float32) / max(polluted.shape[0], 1)


def _grow(land: Land, uniform: Array, agents: Array, apples: Array, polluted: Array, params: Params) -> Array:
    """The ground bool [K + R] with new apples and pollution, from uniform numbers [K + 2]."""
    share = _share(polluted)
    around = (apples.astype(jnp.float32) @ land.near).astype(jnp.int32)  # where one may grow, there is none itself
    chance = jnp.asarray(params.regrowth)[jnp.minimum(around, 3)] * jnp.maximum(0.0, 1 - share / params.depletion)
    grown = apples | ((uniform[:-2] < chance) & ~crowd.holds(land.orchard, agents))
    if land.river.size == 0:
        return grown
    spoils = (uniform[-1] < params.pollution_rate) & (share < params.depletion) & ~jnp.all(polluted)
    spoilt = np.arange(land.river.size) == crowd.pick(uniform[-2], ~polluted)
    return jnp.append(grown, polluted | (spoils & spoilt))


def _observe(land: Land, state: State, side: int) -> Observation:
    view = jnp.asarray(land.window)[state.agents]  # [A, W]
    bits = np.repeat(np.array([1, 8], np.uint8), [land.orchard.size, land.river.size])  # one bit per layer
    codes = jnp.append(state.ground * bits, np.array([0, 4], np.uint8))[
        jnp.asarray(land.kinds[land.window])[state.agents]
    ]
    codes = codes | 2 * crowd.holds(view, state.agents).astype(jnp.uint8)
    features = crowd.layers(codes, 4).reshape(-1, side, side, 4)
    world = jnp.concatenate([state.agents, state.ground])
    return Observation(features, state=jnp.tile(world, (view.shape[0], 1)))


def _picture(land: Land, state: State) -> Array:
    kinds = (("white", "square"), ("grey", "square"), ("silver", "dot"), ("cyan", "square"), ("brown", "waves"))
    atlas = np.stack([render.tile(*kind) for kind in (*kinds, ("green", "disc"), ("blue", "small"))])
    codes = jnp.asarray((land.letters == "#").astype(np.int32))
    apples, polluted = _parts(land, state)
    codes = codes.at[land.orchard].set(jnp.where(apples, 5, 2)).at[land.river].set(jnp.where(polluted, 4, 3))
    codes = codes.at[state.agents].set(6)
    return render.mosaic(atlas, codes.reshape(land.shape))


def _check(
    land: Land, num_agents: int, regrowth: tuple[float, ...], pollution_rate: float, depletion: float, sight: int
) -> None:
    at_least("num_agents", num_agents, 1)
    at_least("sight", sight, 1)
    within("pollution_rate", pollution_rate, 0, 1)
    if not 0 < depletion <= 1:
        raise UsageError(f"depletion is {depletion}: expected a share above 0, up to 1")
    if len(regrowth) != 4:
        raise UsageError(f"regrowth has {len(regrowth)} numbers: expected 4, for 0, 1, 2 and 3 apples around")
    for chance in regrowth:
        within("regrowth", chance, 0, 1)
    free = int((land.letters == ".").sum())
    if num_agents > free:
        raise UsageError(f"num_agents is {num_agents}: expected at most {free}, the free cells of the map")
    if land.orchard.size == 0:
        raise UsageError("the map has no orchard: expected at least one A or a")
