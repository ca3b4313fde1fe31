"""Shared by the board games for two: turns, masks, what each player sees, and how a game ends.

Observation: uint8 [H, W, 3], from the player's own point of view: own stones, the other's stones, ones if it is its
    turn.
Action: int32 [], a move, or the last one: wait, which is the only legal one of the player whose turn it is not (what
    that player asks for is never looked at).
Reward: 1 for the winner and -1 for the loser, at the end; 0 otherwise. An illegal move loses.
Termination: of both, when the game is won, lost or drawn. Start: an empty board, player 0 to move.
Measures: first_won, second_won, drawn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key

RUNNING, FIRST_WON, SECOND_WON, DRAWN = range(4)


class State(NamedTuple):
    stones: Array  # int32 [2, W] each player's stones as the bits of W words
    turn: Array  # int32: whose move it is
    outcome: Array  # int32


class Rules(NamedTuple):
    """A game: stones are the bits of int32 [W] words; the number of moves is n."""

    shape: tuple[int, int]  # of the board
    num_moves: int
    num_words: int
    open: Callable[[Array], Array]  # (all stones [W]) -> bool [n]: the legal moves
    place: Callable[[Array, Array, Array], Array]  # (own stones [W], all stones [W], move) -> own stones [W]
    won: Callable[[Array], Array]  # (stones [W]) -> bool
    cells: Callable[[Array], Array]  # (stones [..., W]) -> bool [..., H, W]


def board_game(rules: Rules) -> Environment:
    """The environment of two players [2] who move in turn."""
    players = np.arange(2)

    def observe(state: State) -> Array:
        everywhere = jnp.where((players == state.turn)[:, None], -1, jnp.zeros_like(state.stones))  # -1: all bits
        words = jnp.stack([state.stones, state.stones[::-1], everywhere], axis=1)  # [2, 3, W]
        return jnp.moveaxis(rules.cells(words), 1, -1).astype(jnp.uint8)

    def reset(key: Key, params: Any) -> tuple[State, Array]:
        state = State(jnp.zeros((2, rules.num_words), jnp.int32), jnp.int32(0), jnp.int32(RUNNING))
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Array, Array, Array]:
        move, everything = action[state.turn], state.stones[0] | state.stones[1]
        running = state.outcome == RUNNING
        legal = jnp.append(rules.open(everything), False)[move] & running
        own = rules.place(state.stones[state.turn], everything, jnp.minimum(move, rules.num_moves - 1))
        stones = jnp.where((legal & (players == state.turn))[:, None], own, state.stones)
        full = ~jnp.any(rules.open(stones[0] | stones[1]))
        ended = jnp.where(rules.won(own), FIRST_WON + state.turn, jnp.where(full, DRAWN, RUNNING))
        outcome = jnp.where(running, jnp.where(legal, ended, SECOND_WON - state.turn), state.outcome)
        after = State(stones, 1 - state.turn, outcome)
        lost = jnp.where(players == outcome - FIRST_WON, 1.0, -1.0)
        reward = jnp.where(running & ((outcome == FIRST_WON) | (outcome == SECOND_WON)), lost, 0.0)
        return after, observe(after), reward.astype(jnp.float32), jnp.broadcast_to(outcome != RUNNING, (2,))

    def legal_actions(state: State, params: Any) -> Array:
        moves = (players == state.turn) & (state.outcome == RUNNING)
        return jnp.append(moves[:, None] & rules.open(state.stones[0] | state.stones[1]), ~moves[:, None], axis=1)

    def measure(state: State, params: Any) -> dict[str, Array]:
        named = {"first_won": FIRST_WON, "second_won": SECOND_WON, "drawn": DRAWN}
        return {name: (state.outcome == outcome).astype(jnp.float32) for name, outcome in named.items()}

    def picture(state: State, params: Any) -> Array:
        atlas = np.stack([render.tile("silver", "block"), render.tile("red", "disc"), render.tile("blue", "disc")])
        first, second = rules.cells(state.stones)
        return render.mosaic(atlas, first + 2 * second)

    return Environment(
        reset, step, Box(0, 1, (*rules.shape, 3), np.uint8), Discrete(rules.num_moves + 1), num_agents=2,
        legal_actions=legal_actions, measure=measure, render=picture,
    )  # fmt: skip
