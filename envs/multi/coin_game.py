"""The coin game (Lerer & Peysakhovich 2017, "Maintaining cooperation in complex social dilemmas").

Two players, red and blue, on a board without edges, and one coin that is red or blue: whoever takes it gains, but a
coin of the other's colour costs the other more than that.

Observation: uint8 [size, size, 4], in the player's own colours: itself, the other, a coin of its own colour, one of the
    other's. State: int32 [4]: the cells of the players and the coin, the coin's colour.
Action: int32 [], 0 up, 1 right, 2 down, 3 left, 4 stay; the board's edges meet.
Reward: 1 for each player that steps onto the coin (both may), `loss` for the player of the coin's colour when the other
    one does.
Step: both move, and may share a cell; a coin that is taken is followed by one of a random colour in a random free cell.
Termination: never. Limit: `max_steps`.
Start: both players and the coin on random cells, the coin apart from the players. Measures (of the last step): own and
    other, the coins taken by players of their colour and of the other.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.multi import crowd
from jaxrl.errors import at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Observation

MOVES = (grid.UP, grid.RIGHT, grid.DOWN, grid.LEFT, crowd.STAY)


class State(NamedTuple):
    players: Array  # int32 [2] cells
    coin: Array  # int32 cell
    colour: Array  # int32: whose colour it has
    taken: Array  # int32 [2]: in the last step, coins of the taker's own colour and of the other's


def coin_game(size: int = 5, loss: float = -2.0, max_steps: int | None = 100) -> Environment:
    """A board of `size` cells a side (Foerster et al. 2018 have 3)."""
    at_least("size", size, 2)
    row, column = np.indices((size, size)).reshape(2, -1, 1)
    down, right = np.array(MOVES).T
    paths = ((row + down) % size * size + (column + right) % size).astype(np.int32)
    cells, players = np.arange(size * size), np.arange(2)

    def observe(state: State) -> Observation:
        coins = jnp.where(players == state.colour, state.coin, -1)
        shown = jnp.stack([state.players, state.players[::-1], coins, coins[::-1]], axis=1)  # [2, 4] cells
        features = (cells[:, None] == shown[:, None]).astype(jnp.uint8).reshape(2, size, size, 4)
        world = jnp.concatenate([state.players, state.coin[None], state.colour[None]])
        return Observation(features, state=jnp.tile(world, (2, 1)))

    def mint(uniform: Array, players: Array) -> tuple[Array, Array]:
        return crowd.pick(uniform[0], ~crowd.holds(cells, players)), (uniform[1] < 0.5).astype(jnp.int32)

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        uniform = jax.random.uniform(key, (4,))
        places = jnp.floor(uniform[:2] * size * size).astype(jnp.int32)
        state = State(places, *mint(uniform[2:], places), jnp.zeros(2, jnp.int32))
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        after = jnp.asarray(paths)[state.players, action]
        takes, owner = after == state.coin, players == state.colour
        robbed = jnp.any(takes & ~owner) & owner
        coin, colour = mint(jax.random.uniform(key, (2,)), after)
        spent = jnp.any(takes)
        taken = jnp.stack([jnp.sum(takes & owner), jnp.sum(takes & ~owner)]).astype(jnp.int32)
        state = State(after, jnp.where(spent, coin, state.coin), jnp.where(spent, colour, state.colour), taken)
        reward = takes.astype(jnp.float32) + jnp.where(robbed, jnp.float32(loss), 0.0)
        return state, observe(state), reward, jnp.zeros(2, bool)

    def measure(state: State, params: Any) -> dict[str, Array]:
        return {"own": state.taken[0].astype(jnp.float32), "other": state.taken[1].astype(jnp.float32)}

    def picture(state: State, params: Any) -> Array:
        players_and_coins = [("red", "disc"), ("blue", "disc"), ("purple", "disc"), ("red", "dot"), ("blue", "dot")]
        atlas = np.stack([render.tile(*kind) for kind in (("silver", "block"), *players_and_coins)])
        standing = (cells == state.players[0]) + 2 * (cells == state.players[1])
        codes = jnp.where(cells == state.coin, 4 + state.colour, standing)
        return render.mosaic(atlas, codes.reshape(size, size))

    return Environment(
        reset, step, Box(0, 1, (size, size, 4), np.uint8), Discrete(len(MOVES)), max_steps=max_steps, num_agents=2,
        measure=measure, render=picture,
    )  # fmt: skip
