"""What planning agents learn about the world: what follows a pair (s, a), as tables that all rows share.

`Outcomes` are the last of each pair: small, and quick to forget, where a world changes. `Counts` are of all: the means
of a world of chance. Both know the legal actions of each state that was seen, where the world has such.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl import trees
from jaxrl.distributions import masked
from jaxrl.types import Array, Observation, Timestep, Transition


class Outcomes(NamedTuple):
    """What followed when each action was last tried, [S, A]; before that, that nothing did."""

    next_state: Array  # int32
    reward: Array  # float
    terminated: Array  # bool
    tried: Array  # int32: the step in which that was, from 1 on; 0 for never
    legal: Array | None  # bool [S, A]
    time: Array  # int32 []: steps of a row so far


class Counts(NamedTuple):
    followed: Array  # float [S', S, A]: how often s' came next, and the episode went on
    reward: Array  # float [S, A]: the sum
    tried: Array  # float [S, A]: how often
    legal: Array | None  # bool [S, A]


def no_outcomes(table: tuple[int, int], timestep: Timestep) -> Outcomes:
    stay = jnp.broadcast_to(jnp.arange(table[0], dtype=jnp.int32)[:, None], table)
    never = jnp.zeros(table, jnp.int32)
    return Outcomes(stay, jnp.zeros(table), never > 0, never, _none_legal(table, timestep), jnp.zeros((), jnp.int32))


def last_outcomes(model: Outcomes, t: Transition) -> Outcomes:
    """The model after steps of rows [N]; where several meet in a pair, the outcome of one of them is kept, whole."""
    rows = jnp.where(t.valid, jnp.arange(t.reward.size, dtype=jnp.int32), -1)
    last = jnp.full(model.tried.shape, -1, jnp.int32).at[t.obs.features, t.action].max(rows)
    time = trees.count_up(model.time, 1)
    new = t.next_obs.features, t.reward, t.terminated, jnp.broadcast_to(time, rows.shape)
    old = model.next_state, model.reward, model.terminated, model.tried
    kept = [jnp.where(last < 0, a, b[last].astype(a.dtype)) for a, b in zip(old, new, strict=True)]
    return Outcomes(kept[0], kept[1], kept[2], kept[3], _seen(model.legal, t), time)


def known(model: Outcomes, untried: bool) -> Array:
    """bool [S, A]: the pairs that were tried; with `untried`, all legal ones of a state in which any was."""
    tried = model.tried > 0
    if not untried:
        return tried
    return tried.any(-1, keepdims=True) & (jnp.ones_like(tried) if model.legal is None else model.legal)


def imagined(model: Outcomes, at: tuple[Array, Array], like: Transition) -> Transition:
    """The transitions [N] that the model gives for pairs (s [N], a [N])."""
    following = model.next_state[at]
    legal = None if model.legal is None else model.legal[following]
    return like._replace(
        obs=Observation(at[0]), action=at[1], reward=model.reward[at], terminated=model.terminated[at],
        next_obs=Observation(following, legal),
    )  # fmt: skip


def no_counts(table: tuple[int, int], timestep: Timestep) -> Counts:
    zeros = jnp.zeros(table)
    return Counts(jnp.zeros((table[0], *table)), zeros, zeros, _none_legal(table, timestep))


def count(model: Counts, t: Transition) -> Counts:
    """The model after steps of rows [N]."""
    pair = t.obs.features, t.action
    followed = model.followed.at[t.next_obs.features, *pair].add(1.0 * (t.valid & ~t.terminated))
    reward, tried = model.reward.at[pair].add(t.reward), model.tried.at[pair].add(1.0 * t.valid)
    return Counts(followed, reward, tried, _seen(model.legal, t))


def worth(model: Counts, values: Array) -> Array:
    """The best of the values [S, A] of every state: -> [S]."""
    return masked(values, model.legal).max(-1)


def backup(model: Counts, at: tuple[Array, Array], worth: Array, discount: Array) -> Array:
    """r + discount * sum_s' p(s' | s, a) worth(s') of pairs (s [N], a [N]) -> [N], from the means of what was seen."""
    total = model.reward[at] + discount * jnp.tensordot(worth, model.followed[:, *at], 1)
    return total / jnp.maximum(model.tried[at], 1)


def _none_legal(table: tuple[int, int], timestep: Timestep) -> Array | None:
    return None if timestep.obs.legal is None else jnp.zeros(table, bool)


def _seen(legal: Array | None, t: Transition) -> Array | None:
    """What is known of the legal actions, once rows [N] have seen those before and behind a step."""
    for obs in (t.obs, t.next_obs):
        if legal is not None and obs.legal is not None:
            legal = legal.at[obs.features].max(obs.legal & t.valid[:, None])
    return legal
