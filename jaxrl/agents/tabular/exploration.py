"""How tabular agents explore: probabilities of actions from values and visits, one function for each way.

    epsilon_greedy  the best with probability 1 - epsilon, else any legal one
    boltzmann       softmax(values / temperature)
    ucb             the best of values + bonus * sqrt(log(1 + visits of s) / visits of (s, a)) (Auer et al. 2002)
    count_bonus     epsilon-greedy; every reward is raised by bonus / sqrt(1 + visits of (s, a)) (Strehl & Littman 2008)

Optimism needs nothing here: it is an `initial_value` above the true ones, which count_bonus wants too, since what was
never done has no bonus yet. epsilon and the temperature are divided by 1 + exploration_decay * visits of s: with 0
they stay; above 0 each state is explored for ever, but ever less.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.distributions import epsilon_greedy, masked
from jaxrl.errors import unknown
from jaxrl.types import Array, Key


class Seen(NamedTuple):
    """What the table says of states [...]."""

    values: Array  # float [..., A]
    visits: Array  # float [..., A]
    times: Array  # float [...] all visits to the state


class Exploration(NamedTuple):
    """`legal` is bool [..., A] or None; `hyper` are the hyper-parameters, those of `core.Config`."""

    probabilities: Callable[..., Array]  # (seen, legal, hyper) -> [..., A]
    sample: Callable[..., Array]  # (key, seen, legal, hyper) -> int [...], with these probabilities
    bonus: Callable[..., Array] | None = None  # (visits [...] of what was done, hyper) -> what its reward is raised by


def exploration(kind: str, ties: str) -> Exploration:
    """The way of that name; equal values: the "first" of them, or a "random" one."""
    kinds = {"epsilon_greedy": _epsilon_greedy, "boltzmann": _boltzmann, "ucb": _ucb, "count_bonus": _epsilon_greedy}
    choices = {"first": _first, "random": _any_best}
    if kind not in kinds:
        raise unknown("exploration", kind, kinds)
    if ties not in choices:
        raise unknown("ties", ties, choices)

    def probabilities(seen: Seen, legal: Array | None, hyper: Any) -> Array:
        legal = jnp.ones_like(seen.values, bool) if legal is None else legal
        return kinds[kind](seen, legal, hyper, choices[ties])

    def sample(key: Key, seen: Seen, legal: Array | None, hyper: Any) -> Array:
        if kinds[kind] is _epsilon_greedy and ties == "first":  # which is faster without probabilities
            return epsilon_greedy(key, seen.values, _annealed(hyper.epsilon, seen, hyper)[..., 0], legal)
        return draw(key, probabilities(seen, legal, hyper))

    return Exploration(probabilities, sample, _count_bonus if kind == "count_bonus" else None)


def draw(key: Key, probabilities: Array) -> Array:
    """Actions int [...] of probabilities [..., A]; never one of probability 0."""
    reached = jnp.where(probabilities > 0, jnp.cumsum(probabilities, axis=-1), 0)
    draws = jax.random.uniform(key, probabilities.shape[:-1], probabilities.dtype) * reached.max(-1)
    return jnp.argmax(reached > draws[..., None], axis=-1)


def uniform(values: Array, legal: Array | None) -> Array:
    """The same probability [..., A], for values [..., A], of every legal action."""
    return _among(jnp.ones_like(values) if legal is None else legal.astype(values.dtype))


def _first(scores: Array) -> Array:
    return jax.nn.one_hot(jnp.argmax(scores, -1), scores.shape[-1], dtype=scores.dtype)


def _any_best(scores: Array) -> Array:
    return _among((scores == scores.max(-1, keepdims=True)).astype(scores.dtype))


def _among(chosen: Array) -> Array:
    return chosen / chosen.sum(-1, keepdims=True)


def _epsilon_greedy(seen: Seen, legal: Array, hyper: Any, greedy: Callable[[Array], Array]) -> Array:
    epsilon = _annealed(hyper.epsilon, seen, hyper)
    return epsilon * uniform(seen.values, legal) + (1 - epsilon) * greedy(masked(seen.values, legal))


def _boltzmann(seen: Seen, legal: Array, hyper: Any, greedy: Callable[[Array], Array]) -> Array:
    behind = seen.values - masked(seen.values, legal).max(-1, keepdims=True)
    return jax.nn.softmax(masked(behind / _annealed(hyper.temperature, seen, hyper), legal))


def _ucb(seen: Seen, legal: Array, hyper: Any, greedy: Callable[[Array], Array]) -> Array:
    width = jnp.sqrt(jnp.log1p(seen.times[..., None]) / jnp.maximum(seen.visits, 1))
    untried = jnp.finfo(seen.values.dtype).max / 4  # every action is tried once before any is tried again
    return greedy(masked(jnp.where(seen.visits == 0, untried, seen.values + hyper.bonus * width), legal))


def _count_bonus(visits: Array, hyper: Any) -> Array:
    return hyper.bonus / jnp.sqrt(1 + visits)


def _annealed(start: Array, seen: Seen, hyper: Any) -> Array:
    return (start / (1 + hyper.exploration_decay * seen.times))[..., None]
