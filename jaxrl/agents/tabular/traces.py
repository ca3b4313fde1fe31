"""Eligibility traces: every row remembers how much each entry of the table has to do with what happens to it now.

    entry <- entry + step * trace * error,    and then trace <- discount * trace_decay * trace

A trace is a table per row, [N, S, A], so that memory and the time of a step grow with rows times entries, where those
of the other methods grow with rows plus entries. One row follows the textbook to the letter. Of many rows with traces
in one entry, m = their sum / the largest of them count: they move it as m updates in a row towards one target would.
"""

import jax.numpy as jnp

from jaxrl import trees
from jaxrl.agents.tabular.core import State
from jaxrl.errors import unknown
from jaxrl.statistics import Mean
from jaxrl.types import Array, Timestep, Transition

KINDS = ("accumulating", "replacing")


def begin(table: tuple[int, ...], kind: str, timestep: Timestep) -> Array:
    """No traces [N, *table] for the rows of a first timestep."""
    if kind not in KINDS:
        raise unknown("kind of traces", kind, KINDS)
    return jnp.zeros((*timestep.reward.shape, *table))


def one_step(
    state: State, traces: Array, t: Transition, index: tuple[Array, ...], following: Array, kind: str
) -> tuple[State, Mean]:
    """Learn t [N] where following [N] is what next_obs is worth; traces [N, ...] are those of the steps before it."""
    state, traces = visit(state, traces, index, t.valid, kind)
    target = t.reward + state.config.discount * jnp.where(t.terminated, 0, following)
    state, error = move(state, traces, target - state.values[index], t.valid)
    faded = state.config.discount * state.config.trace_decay * traces
    return state._replace(memory=trees.where(t.valid & ~t.ended, faded, jnp.zeros_like(faded))), error


def visit(state: State, traces: Array, index: tuple[Array, ...], valid: Array, kind: str) -> tuple[State, Array]:
    """Rows [N] come to `index`: 1 is added to the trace there, or takes its place (Singh and Sutton 1996)."""
    visits = state.visits.at[index].add(valid.astype(state.visits.dtype))
    here = (jnp.arange(len(traces)), *index)
    kept = traces[here] if kind == "accumulating" else jnp.where(valid, 0, traces[here])
    return state._replace(visits=visits), traces.at[here].set(kept + valid)


def move(state: State, traces: Array, error: Array, weight: Array) -> tuple[State, Mean]:
    """Move all entries along the traces [N, ...] of the rows with errors [N] where the weight, bool [N], holds."""
    hyper, error, each = state.config, jnp.where(weight, error, 0), weight.astype(traces.dtype)
    largest = jnp.max(traces, axis=0, initial=0, where=weight.reshape(-1, *[1] * (traces.ndim - 1)))
    rows = jnp.where(largest > 0, jnp.tensordot(each, traces, 1) / largest, 1)
    rate = jnp.minimum(hyper.learning_rate / (1 + hyper.learning_rate_decay * state.visits), 1)
    values = state.values + (1 - (1 - rate) ** rows) / rows * jnp.tensordot(error, traces, 1)
    return state._replace(values=values), Mean.of(jnp.abs(error), weight)
