"""An environment from tables: any finite world is its `Model`, and every step one draw and a few gathers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Model


def tables(probability: Any, next_state: Any, reward: Any, terminated: Any, start: Any) -> Model:
    """A `Model` of numpy tables, checked: the first four broadcast to [S, A, K]; start [S] scaled to sum 1.

    Outcomes that are impossible everywhere are left out.
    """
    shape = np.broadcast_shapes(*(np.shape(each) for each in (probability, next_state, reward, terminated)))
    full = [np.broadcast_to(np.asarray(each), shape) for each in (probability, next_state, reward, terminated)]
    if len(shape) != 3 or np.abs(full[0].sum(-1) - 1).max() > 1e-6 or full[0].min() < 0:
        raise UsageError(f"tables of shape {shape}: expected [S, A, K], with probabilities that sum to 1 over K")
    if full[1].min() < 0 or full[1].max() >= shape[0]:
        raise UsageError(f"next states run from {full[1].min()} to {full[1].max()}: expected 0 to {shape[0] - 1}")
    possible = full[0].any((0, 1))
    kinds = (np.float64, np.int32, np.float64, bool)
    columns: list[Any] = [each[..., possible].astype(kind) for each, kind in zip(full, kinds, strict=True)]
    columns.append(np.asarray(start, np.float64) / np.sum(start))
    return Model(*columns)


def tabular(
    model: Model, max_steps: int | None = None, features: Any = None, legal: Any = None, measures: Any = None
) -> Environment:
    """The environment whose dynamics are exactly `model`; its state is the index int32 [].

    features: what is seen in each state, float [S, ...] or int [S]; without it, the index itself.
    legal: bool [S, A]. measures: {name: [S]}, what `measure` reports of a state.
    """
    at_least("max_steps", max_steps, 1)
    num_states, num_actions, num_outcomes = model.probability.shape
    first_states = np.flatnonzero(model.start).astype(np.int32)
    start_bounds = _bounds(np.asarray(model.start)[first_states])
    outcome_bounds = _bounds(np.asarray(model.probability)).reshape(num_states * num_actions, num_outcomes - 1)
    next_states, ends = np.asarray(model.next_state, np.int32).ravel(), np.asarray(model.terminated).ravel()
    rewards = np.asarray(model.reward, np.float32).ravel()
    seen, space = _seen(num_states, features)
    reported = {name: np.asarray(table, np.float32) for name, table in (measures or {}).items()}

    def reset(key: Key, params: Any) -> tuple[Array, Array]:
        state = _read(first_states, _draw(key, jnp.asarray(start_bounds)))
        return state, _read(seen, state)

    def step(key: Key, state: Array, action: Array, params: Any) -> tuple[Array, Array, Array, Array]:
        pair = state * num_actions + action
        outcome = pair * num_outcomes + _draw(key, _read(outcome_bounds, pair))
        state = _read(next_states, outcome)
        return state, _read(seen, state), _read(rewards, outcome), _read(ends, outcome)

    return Environment(
        reset,
        step,
        space,
        Discrete(num_actions),
        max_steps=max_steps,
        legal_actions=None if legal is None else lambda state, params: _read(np.asarray(legal, bool), state),
        measure=(lambda state, params: {name: _read(t, state) for name, t in reported.items()}) if reported else None,
        model=lambda params: model,
    )


def _seen(num_states: int, features: Any) -> tuple[np.ndarray, Box | Discrete]:
    """(what each state shows [S, ...], its space)."""
    shown = np.arange(num_states) if features is None else np.asarray(features)
    if np.issubdtype(shown.dtype, np.integer):
        return shown.astype(np.int32), Discrete(int(shown.max()) + 1)
    return shown.astype(np.float32), Box(float(shown.min()), float(shown.max()), shown.shape[1:])


def _bounds(probability: np.ndarray) -> np.ndarray:
    """Where [0, 1) is cut so that piece k has probability[..., k]: [..., K] -> float32 [..., K - 1].

    Summed from behind, so that the cut before outcomes of probability 0 is exactly 1 and none of them is ever drawn.
    """
    behind = probability[..., ::-1].cumsum(-1)[..., ::-1]
    return (1 - behind[..., 1:] / behind[..., :1]).astype(np.float32)


def _draw(key: Key, bounds: Array) -> Array:
    """int32 []: the index of the piece that a uniform number falls into; no number is drawn for a single piece."""
    if bounds.shape[-1] == 0:
        return jnp.int32(0)
    return jnp.sum(jax.random.uniform(key, dtype=jnp.float32) >= bounds, dtype=jnp.int32)


def _read(table: np.ndarray, index: Array) -> Array:
    """table [M, ...] at index []; the table becomes an array only when it is traced."""
    return jnp.take(jnp.asarray(table), index, axis=0, mode="clip")
