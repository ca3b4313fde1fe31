"""Matrix games, once or repeated: climbing, penalty, prisoner's dilemma, matching pennies, rock-paper-scissors, and
the two-step game.

Observation: float [A * n], the last joint action, one-hot per player, the own first; zeros before the first round. In
    the two-step game float [3], which of its three games is played, one-hot.
Action: int32 [], 0 to n - 1. Where players have different numbers of actions, the legal ones are those below theirs.
Reward: float, the player's entry of its payoff tensor. Termination: of all, after `rounds` rounds.
Measures: joint_payoff, the sum over the players in the last round.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key

COLOURS = ("red", "blue", "green", "orange", "purple", "brown")


class State(NamedTuple):
    actions: Array  # int32 [A] of the last round; -1 before the first
    game: Array  # int32: which game is played
    rounds: Array  # int32: rounds that are over
    payoff: Array  # float32: of all players in the last round


def matrix_game(payoffs: Any, rounds: int = 1) -> Environment:
    """The game of A players whose payoffs are float [A, n_1, ..., n_A], played `rounds` times."""
    table = _tensor(payoffs)

    def last_actions(state: State) -> Array:
        num_players, most = table.ndim - 1, max(table.shape[1:])
        turned = state.actions[(np.arange(num_players)[:, None] + np.arange(num_players)) % num_players]
        return (turned[:, :, None] == np.arange(most)).astype(jnp.float32).reshape(num_players, num_players * most)

    size = (table.ndim - 1) * max(table.shape[1:])
    return _games(table[None], np.zeros((1, *table.shape[1:]), np.int32), rounds, last_actions, size)


def climbing_game(rounds: int = 25) -> Environment:
    """One payoff for both (Claus & Boutilier 1998): the best 11 lies beside -30; 7 and 5 are safer."""
    return matrix_game(_shared([[11, -30, 0], [-30, 7, 0], [0, 6, 5]]), rounds)


def penalty_game(k: float = -100.0, rounds: int = 25) -> Environment:
    """One payoff for both (Claus & Boutilier 1998): 10 for either agreement, k <= 0 for missing it, 2 for both safe."""
    if k > 0:
        raise UsageError(f"k is {k}: expected a penalty, 0 at most")
    return matrix_game(_shared([[k, 0, 10], [0, 2, 0], [10, 0, k]]), rounds)


def prisoners_dilemma(
    payoffs: tuple[tuple[float, ...], ...] = ((-1.0, -3.0), (0.0, -2.0)), rounds: int = 100
) -> Environment:
    """0 cooperate, 1 defect; payoffs [2, 2] of a player by its own action and the other's."""
    own = np.asarray(payoffs, np.float32)
    if own.shape != (2, 2):
        raise UsageError(f"payoffs have shape {own.shape}: expected (2, 2), own action by the other's")
    return matrix_game([own, own.T], rounds)


def matching_pennies(rounds: int = 1) -> Environment:
    """0 heads, 1 tails; player 0 gets 1 from player 1 for equal sides, and gives 1 for different ones."""
    return matrix_game(_zero_sum([[1, -1], [-1, 1]]), rounds)


def rock_paper_scissors(payoffs: tuple[float, ...] = (1.0, 1.0, 1.0), rounds: int = 1) -> Environment:
    """0 rock, 1 paper, 2 scissors; payoffs: what a win with rock, with paper, with scissors takes from the loser.

    Unequal payoffs make the biased game: in equilibrium, rock is as likely as the payoff of scissors, paper as that of
    rock, scissors as that of paper.
    """
    if len(payoffs) != 3 or min(payoffs) <= 0:
        raise UsageError(f"payoffs are {payoffs}: expected three positive numbers, for rock, paper and scissors")
    rock, paper, scissors = payoffs
    return matrix_game(_zero_sum([[0, -paper, rock], [paper, 0, -scissors], [-rock, scissors, 0]]), rounds)


def two_step_game() -> Environment:
    """Player 0 chooses the second step's game: 7 for sure, or [[0, 1], [1, 8]] (Rashid et al. 2018, "QMIX")."""
    payoffs = np.stack([_shared(game) for game in ([[0, 0], [0, 0]], [[7, 7], [7, 7]], [[0, 1], [1, 8]])])
    follows = np.stack([np.array([[1, 1], [2, 2]]), np.full((2, 2), 1), np.full((2, 2), 2)])

    def which(state: State) -> Array:
        return jnp.tile((state.game == np.arange(3)).astype(jnp.float32), (2, 1))

    return _games(payoffs.astype(np.float32), follows, 2, which, 3)


def _games(
    payoffs: np.ndarray, follows: np.ndarray, rounds: int, observe: Callable[[State], Array], size: int
) -> Environment:
    """Games [G] of A players: payoffs float [G, A, n_1, ..., n_A], follows int [G, n_1, ..., n_A] the next game.

    observe: (state) -> float [A, size], each number 0 or 1.
    """
    at_least("rounds", rounds, 1)
    num_games, num_players, *sizes = payoffs.shape
    num_joint, most = math.prod(sizes), max(sizes)
    places = np.array([math.prod(sizes[i + 1 :]) for i in range(num_players)])  # of each action in the joint one
    table = payoffs.transpose(0, *range(2, payoffs.ndim), 1).reshape(num_games * num_joint, num_players)
    next_game, allowed = follows.ravel().astype(np.int32), np.arange(most) < np.array(sizes)[:, None]

    def reset(key: Key, params: Any) -> tuple[State, Array]:
        state = State(jnp.full(num_players, -1, jnp.int32), jnp.int32(0), jnp.int32(0), jnp.float32(0))
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Array, Array, Array]:
        action = jnp.minimum(action, np.array(sizes) - 1).astype(jnp.int32)
        joint = state.game * num_joint + jnp.sum(action * places)
        reward = jnp.asarray(table)[joint]
        after = State(action, jnp.asarray(next_game)[joint], state.rounds + 1, jnp.sum(reward))
        return after, observe(after), reward, jnp.broadcast_to(after.rounds >= rounds, (num_players,))

    def picture(state: State, params: Any) -> Array:
        kinds = [("silver", "block"), ("white", "square"), *((colour, "disc") for colour in COLOURS)]
        colour = 2 + np.arange(num_players)[:, None] % len(COLOURS)
        codes = jnp.where(state.actions[:, None] == np.arange(most), colour, np.where(allowed, 0, 1))
        return render.mosaic(np.stack([render.tile(*kind) for kind in kinds]), codes)

    return Environment(
        reset, step, Box(0.0, 1.0, (size,)), Discrete(most), num_agents=num_players,
        legal_actions=None if allowed.all() else lambda state, params: jnp.asarray(allowed),
        measure=lambda state, params: {"joint_payoff": state.payoff}, render=picture,
    )  # fmt: skip


def _tensor(payoffs: Any) -> np.ndarray:
    try:
        table = np.asarray(payoffs, np.float32)
    except ValueError:
        raise UsageError("payoffs are of uneven lengths: expected a full tensor [A, n_1, ..., n_A]") from None
    if table.ndim < 2 or table.shape[0] != table.ndim - 1 or table.size == 0:
        raise UsageError(f"payoffs have shape {table.shape}: expected [A, n_1, ..., n_A], one tensor per player")
    return table


def _shared(payoffs: Any) -> np.ndarray:
    """[n_1, n_2] -> [2, n_1, n_2]: both players get it."""
    return np.stack([np.asarray(payoffs, np.float32)] * 2)


def _zero_sum(payoffs: Any) -> np.ndarray:
    """[n_1, n_2] -> [2, n_1, n_2]: what player 0 gets, player 1 gives."""
    return np.stack([np.asarray(payoffs, np.float32), -np.asarray(payoffs, np.float32)])
