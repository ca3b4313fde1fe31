"""A random walk through a world, and what it must show: values in their spaces, honest ends, the model's odds."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces, trees
from jaxrl.envs.check_trace import fault
from jaxrl.types import Array, Environment, Key, Model, Observation, Tree

ENOUGH = 5  # what is seen this often, without an exception, is taken for a rule


class Walk(NamedTuple):
    """T random steps of N rows; a row starts anew after its end. Leaves [T, N, ...], `after` and `fresh` of trees."""

    key: Any  # of the step
    state: Any
    action: Any
    after: Any  # (state, obs, reward, terminated): what the step gave back
    valid: Any  # bool [T, N] or [T, N, A]: not yet terminated before the step
    ended: Any  # bool [T, N]: all have terminated
    fresh: Any  # (state, obs) of the start that was drawn in this step
    legal: Any  # bool: of the state before; () where every action is
    measures: dict[str, Any]  # of the state after


def wander(env: Environment, key: Key, params: Tree, num_steps: int, num_rows: int) -> Walk:
    """Random legal actions, a fresh start for every row that ended: what `vectorize` does, without limits."""
    agents = () if env.num_agents is None else (env.num_agents,)

    def rows(function: Callable[..., Any], *args: Any) -> Any:
        return jax.vmap(function, (0,) * len(args) + (None,))(*args, params)

    def step(carry: Any, key: Key) -> tuple[Any, Walk]:
        state, gone = carry
        act_key, step_key, reset_key = (jax.random.split(k, num_rows) for k in jax.random.split(key, 3))
        legal = () if env.legal_actions is None else rows(env.legal_actions, state)
        action = jax.vmap(functools.partial(random_action, env))(act_key, legal)
        after, fresh = rows(env.step, step_key, state, action), rows(env.reset, reset_key)
        measures = {} if env.measure is None else rows(env.measure, after[0])
        now_gone = gone | after[3]
        ended = now_gone.reshape(num_rows, -1).all(-1)
        kept = trees.where(ended, (fresh[0], jnp.zeros_like(gone)), (after[0], now_gone))
        return kept, Walk(step_key, state, action, after, ~gone, ended, fresh, legal, measures)

    start_key, walk_key = jax.random.split(key)
    start = rows(env.reset, jax.random.split(start_key, num_rows))[0]
    nobody = jnp.zeros((num_rows, *agents), bool)
    return jax.lax.scan(step, (start, nobody), jax.random.split(walk_key, num_steps))[1]


def random_action(env: Environment, key: Key, legal: Any = ()) -> Any:
    """An action of the space that the mask bool [n] allows; of several agents, [A] of them."""
    if env.legal_actions is not None:
        parts = spaces.split(env.action_space, legal)
        keys = jax.random.split(key, len(parts)) if len(parts) > 1 else [key]
        drawn = [jax.random.categorical(k, jnp.where(part, 0.0, -jnp.inf)) for k, part in zip(keys, parts, strict=True)]
        several = isinstance(env.action_space, spaces.MultiDiscrete)
        return (jnp.stack(drawn, -1) if several else drawn[0]).astype(env.action_space.dtype)
    if env.num_agents is None:
        return spaces.sample(env.action_space, key)
    return jax.vmap(functools.partial(spaces.sample, env.action_space))(jax.random.split(key, env.num_agents))


def check_values(env: Environment, walk: Walk) -> None:
    """Observations in their space, finite rewards and measures, some legal action; of a dead agent nothing is asked."""
    for when, obs, valid in (("reset", walk.fresh[1], np.ones_like(walk.valid)), ("step", walk.after[1], walk.valid)):
        features = obs.features if isinstance(obs, Observation) else obs
        declared = jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)
        for (path, leaf), space in zip(jax.tree.leaves_with_path(features), declared, strict=True):
            _inside(f"obs{jax.tree_util.keystr(path)} after {when}", np.asarray(leaf)[valid], space)
    reward = np.asarray(walk.after[2])[walk.valid]
    if not np.isfinite(reward).all():
        advice = "look for a division by 0, a logarithm of 0 or an overflow"
        raise fault(f"the reward is {reward[~np.isfinite(reward)][0]} after some step", "a finite number", advice)
    if env.legal_actions is not None and np.asarray(spaces.none_legal(env.action_space, walk.legal)).any():
        where = "legal_actions allows nothing in some state that play goes on from"
        raise fault(where, "at least one legal action", "allow one (an extra action that waits, if need be)")
    for name, value in walk.measures.items():
        if not np.isfinite(np.asarray(value)).all():
            raise fault(f"measure {name!r} is not finite in some state", "finite numbers", "report 0 where it has none")


def _inside(what: str, values: np.ndarray, space: spaces.Space) -> None:
    """values [M, *shape] lie in the space."""
    low, high = space.bounds()
    missing = np.isnan(values) if np.issubdtype(values.dtype, np.floating) else np.zeros(values.shape, bool)
    if missing.any():
        raise fault(f"{what} holds NaN", f"numbers from {space.low} to {space.high}", "look for 0/0 or inf - inf")
    outside = (values < low) | (values > high)
    if outside.any():
        place = np.argwhere(outside)[0]
        found = f"{what} holds {values[tuple(place)]}" + (f" at {place[1:].tolist()}" if place.size > 1 else "")
        bounds = [bound[tuple(place[1:])] for bound in (low, high)]
        raise fault(found, f"{bounds[0]} to {bounds[1]}, as its space says", "correct the observation or its space")


def check_ends(env: Environment, walk: Walk) -> None:
    """Terminations are the world's own: no time limit, no reset within a step, no flag that is always on."""
    ended, length = np.asarray(walk.ended), _lengths(np.asarray(walk.ended))
    limit = env.max_steps
    if limit not in (None, 1) and ended.all():
        found = f"each of {ended.size} steps terminated, although max_steps is {limit}"
        raise fault(found, "some step that does not", "correct the flag (a world of one step has max_steps None)")
    if limit not in (None, 1) and (length == limit).sum() >= ENOUGH and ended[length == limit].all():
        found = f"every episode of {limit} steps terminated at that very step, which is max_steps"
        advice = "leave the limit to the field max_steps, or set it to None where this end belongs to the rules"
        raise fault(found, "termination by the world's rules alone", advice)
    if _starts_anew(walk):
        found = "the states after a termination look like new starts"
        raise fault(found, "the state that the step really reached", "leave resets to vectorize: step never resets")


def _lengths(ended: np.ndarray) -> np.ndarray:
    """int [T, N]: the number of steps of the episode so far, this one included."""
    lengths, count = np.zeros(ended.shape, int), np.zeros(ended.shape[1], int)
    for t in range(len(ended)):
        lengths[t] = count = count + 1
        count = np.where(ended[t], 0, count)
    return lengths


def _starts_anew(walk: Walk) -> bool:
    """After the ends the states are where starts are and have moved there; after most other steps they are not."""
    before, after, starts = (_flat(tree) for tree in (walk.state, walk.after[0], walk.fresh[0]))
    ended = np.asarray(walk.ended).ravel()
    if min(ended.sum(), (~ended).sum()) < ENOUGH or after.size == 0:
        return False
    like_start = ((after >= starts.min(0)) & (after <= starts.max(0))).all(-1)
    moved = (after != before).any(-1)
    return bool((like_start & moved)[ended].all() and like_start[~ended].mean() < 0.5)


def _flat(tree: Tree) -> np.ndarray:
    """float [T * N, D]: all numbers of a state in a row; keys are left out."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    size = jax.tree.leaves(tree)[0].shape[0] * jax.tree.leaves(tree)[0].shape[1] if leaves else 0
    return np.concatenate([np.asarray(leaf, float).reshape(size, -1) for leaf in leaves], -1) if leaves else np.empty(0)


def check_model(env: Environment, model: Model, walk: Walk) -> None:
    """Where the state is the table's own index, every step of the walk is an outcome that the table holds."""
    state, after = walk.state, walk.after[0]
    if not (isinstance(state, Array) and state.ndim == 2 and jnp.issubdtype(state.dtype, jnp.integer)):
        return
    pair = np.asarray(state).ravel(), np.asarray(walk.action).ravel()
    reached, reward, ends = (np.asarray(x).reshape(-1, 1) for x in (after, walk.after[2], walk.after[3]))
    told = np.asarray(model.probability)[pair] > 0
    told &= np.asarray(model.next_state)[pair] == reached
    told &= np.isclose(np.asarray(model.reward)[pair], reward, 1e-5, 1e-6)
    told &= np.asarray(model.terminated)[pair] == ends
    if not told.any(-1).all():
        i = int(np.argmin(told.any(-1)))
        found = f"state {pair[0][i]}, action {pair[1][i]} led to state {reached[i, 0]}, reward {reward[i, 0]}"
        raise fault(found, "an outcome of the model", "correct step or model, or set model to None")
    starts = np.unique(np.asarray(walk.fresh[0]))
    if not (np.asarray(model.start)[starts] > 0).all():
        raise fault("reset gave a state of probability 0", "every start to be in model.start", "correct one of the two")
