"""Games of pgx, for one player or several.

Players are agents [P]; whose turn it is not has one legal action, the last, "wait". An illegal action ends the game
with pgx's penalty. Each player sees the board with its own eyes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.spaces import Discrete
from jaxrl.suites.shared import box, closed, plain
from jaxrl.types import Array, Environment, Key


def names(library: Any) -> tuple[str, ...]:
    return tuple(library.available_envs())


def make(library: Any, name: str, options: dict[str, Any]) -> Environment:
    game = library.make(name, **options)
    return _solitaire(game) if game.num_players == 1 else _players(game)


def _solitaire(game: Any) -> Environment:
    def reset(key: Key) -> tuple[Any, Array]:
        state = game.init(plain(key))
        return state, state.observation

    def step(key: Key, state: Any, action: Array) -> tuple[Any, ...]:
        state = game.step(state, action, plain(key))
        return state, state.observation, state.rewards[0], state.terminated

    space = box(jax.eval_shape(lambda: reset(jax.random.key(0)))[1])
    return closed(
        reset, step, space, Discrete(game.num_actions), legal_actions=lambda state, params: state.legal_action_mask
    )


def _players(game: Any) -> Environment:
    players, wait = game.num_players, game.num_actions

    def seen(state: Any) -> Array:
        return jnp.stack([game._observe(state, jnp.int32(player)) for player in range(players)])

    def reset(key: Key) -> tuple[Any, Array]:
        state = game.init(plain(key))
        return state, seen(state)

    def step(key: Key, state: Any, action: Array) -> tuple[Any, ...]:
        chosen = action[state.current_player]
        # Nobody may wait on its own turn: pgx is shown an illegal action.
        known = state.replace(legal_action_mask=state.legal_action_mask & (chosen < wait))
        after = game.step(known, jnp.minimum(chosen, wait - 1), plain(key))
        return after, seen(after), after.rewards, jnp.broadcast_to(after.terminated, (players,))

    def legal_actions(state: Any, params: Any) -> Array:
        turn = (jnp.arange(players) == state.current_player)[:, None]
        return jnp.concatenate([turn & state.legal_action_mask, ~turn], -1)

    shown = jax.eval_shape(lambda: reset(jax.random.key(0)))[1]
    space = box(jax.ShapeDtypeStruct(shown.shape[1:], shown.dtype))
    return closed(reset, step, space, Discrete(wait + 1), num_agents=players, legal_actions=legal_actions)
