"""N environments behind one step. The only room that knows time limits, auto-reset and episode statistics."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import spaces, trees
from jaxrl.types import Array, Environment, Key, Observation, Timestep, Tree, VecEnv


class Row(NamedTuple):
    """What an episode starts from."""

    state: Tree  # [N, ...] the environment's state
    obs: Observation  # [N, ...]
    params: Tree  # [N, ...] the row's own dynamics parameters, or () where all rows share the task


class Reservoir(NamedTuple):
    """A ring of P fresh starts, dealt from `head` on; the `dealt` slots behind it wait to be renewed."""

    rows: Row  # [P, ...]
    head: Array  # int32
    dealt: Array  # int32
    reused: Array  # int32: starts dealt again because the ring ran short


class VecState(NamedTuple):
    state: Tree  # [N, ...]
    params: Tree  # [N, ...] or ()
    steps: Array  # int32 [N] of this episode
    alive: Any  # bool [N, A] agents that have not terminated; () where there is one agent
    episode_return: Array  # float [N] or [N, A]
    reservoir: Any  # Reservoir, or ()


def vectorize(
    env: Environment, num_envs: int, draw: Callable[[Key, Tree], Tree] | None = None, renewed: int | None = None
) -> VecEnv:
    """N environments with time limits, auto-reset and statistics (a reset happens in the step that ends an episode).

    `draw` (key, task) -> params gives one row its own dynamics parameters at each of its resets; without it all rows
    share the task. With `renewed` = K, starts come from a reservoir of N of which K are renewed per step, so that a
    step costs K resets; it runs short (counted in `reused`) only if more than K rows end per step for long. Without
    it every ended row gets a start of its own, drawn in the steps in which some row ends.
    """

    def start(key: Key, task: Tree, n: int) -> Row:
        keys, params = jax.random.split(key, n), ()
        if draw is not None:
            keys, draw_keys = jax.vmap(lambda k: tuple(jax.random.split(k)))(keys)
            params = jax.vmap(draw, (0, None))(draw_keys, task)
        state, obs = _map(env.reset, params if draw else task, draw)(keys)
        return Row(state, observe(state, obs, params, task), params)

    def observe(state: Tree, obs: Any, params: Tree, task: Tree) -> Observation:
        obs = obs if isinstance(obs, Observation) else Observation(obs)
        if env.legal_actions is None:
            return obs
        return obs._replace(legal=_map(env.legal_actions, params if draw else task, draw)(state))

    def measure(state: Tree, params: Tree) -> dict[str, Array]:
        return {} if env.measure is None else _map(env.measure, params, draw)(state)

    def reset(key: Key, task: Tree) -> tuple[VecState, Timestep]:
        row_key, pool_key = jax.random.split(key)
        row, zero = start(row_key, task, num_envs), jnp.zeros((), jnp.int32)
        shape = (num_envs,) if env.num_agents is None else (num_envs, env.num_agents)
        reservoir = () if renewed is None else Reservoir(start(pool_key, task, num_envs), zero, zero, zero)
        alive = () if env.num_agents is None else jnp.ones(shape, bool)
        returns, steps, never = jnp.zeros(shape), jnp.zeros(num_envs, jnp.int32), jnp.zeros(shape, bool)
        info = _info(returns, steps, measure(row.state, row.params if draw else task), reservoir)
        state = VecState(row.state, row.params, steps, alive, returns, reservoir)
        return state, Timestep(row.obs, ~never, returns, never, never, never, row.obs, info)

    def step(key: Key, before: VecState, action: Tree, task: Tree) -> tuple[VecState, Timestep]:
        step_key, reset_key = jax.random.split(key)
        params, action = before.params if draw else task, spaces.clip(env.action_space, action)
        keys = jax.random.split(step_key, num_envs)
        state, obs, reward, terminated = _map(env.step, params, draw)(keys, before.state, action)
        obs, steps, valid = observe(state, obs, before.params, task), before.steps + 1, jnp.ones_like(terminated)
        if env.num_agents is not None:
            terminated, valid = terminated | ~before.alive, before.alive
        limit = steps >= env.max_steps if env.max_steps is not None else jnp.zeros_like(steps, bool)
        ended = limit | (terminated if env.num_agents is None else terminated.all(-1))
        per_actor, truncated = _per_actor(ended, terminated), _per_actor(limit, terminated)
        returns = before.episode_return + jnp.where(valid, reward, 0.0)
        stepped = Row(state, obs, before.params)
        row, reservoir = restart(reset_key, task, ended, stepped, before.reservoir)
        after = VecState(
            row.state, row.params, jnp.where(ended, 0, steps),
            () if env.num_agents is None else ~terminated | per_actor,
            jnp.where(per_actor, 0.0, returns), reservoir,
        )  # fmt: skip
        info = _info(returns, steps, measure(state, params), reservoir)
        return after, Timestep(row.obs, per_actor, reward, terminated, truncated, valid, obs, info)

    def restart(key: Key, task: Tree, ended: Array, stepped: Row, reservoir: Any) -> tuple[Row, Any]:
        if renewed is None:
            fresh = jax.lax.cond(jnp.any(ended), lambda: start(key, task, num_envs), lambda: stepped)
        else:
            fresh, reservoir = _deal(_renew(reservoir, start(key, task, renewed)), ended)
        return trees.where(ended, fresh, stepped), reservoir

    num_rows = num_envs * (env.num_agents or 1)
    return VecEnv(reset, step, env.observation_space, env.action_space, env.params, num_rows, num_envs)


def _map(function: Callable[..., Any], params: Tree, per_row: Any) -> Callable[..., Any]:
    """`function` over rows; its last argument `params` is [N, ...] when it is drawn per row, else shared."""

    def mapped(*args: Any) -> Any:
        axes = (0,) * len(args) + (0 if per_row else None,)
        return jax.vmap(function, axes)(*args, params)

    return mapped


def _info(returns: Array, steps: Array, measures: dict[str, Array], reservoir: Any) -> dict[str, Array]:
    """Statistics of the episode so far; they are of a whole episode on the steps that end one."""
    reused = {} if reservoir == () else {"reused_starts": jnp.broadcast_to(reservoir.reused, returns.shape)}
    return {"episode_return": returns, "episode_length": _per_actor(steps, returns)} | measures | reused


def _per_actor(x: Array, like: Array) -> Array:
    """x [N] for every agent: [N] or [N, A], as `like`."""
    return jnp.broadcast_to(x.reshape(x.shape + (1,) * (like.ndim - 1)), like.shape)


def _renew(reservoir: Reservoir, fresh: Row) -> Reservoir:
    """Write K fresh starts over the oldest dealt slots (and over undealt ones where fewer were dealt)."""
    size, count = (jax.tree.leaves(rows)[0].shape[0] for rows in (reservoir.rows, fresh))
    slots = (reservoir.head - reservoir.dealt + jnp.arange(count)) % size
    rows = jax.tree.map(lambda old, new: old.at[slots].set(new, unique_indices=True), reservoir.rows, fresh)
    return reservoir._replace(rows=rows, dealt=jnp.maximum(reservoir.dealt - count, 0))


def _deal(reservoir: Reservoir, ended: Array) -> tuple[Row, Reservoir]:
    """A start for every ended row [N], by its rank among them, so that no two rows share one while the ring holds."""
    size = jax.tree.leaves(reservoir.rows)[0].shape[0]
    rank, needed = jnp.cumsum(ended) - 1, jnp.sum(ended, dtype=jnp.int32)
    rows = jax.tree.map(lambda leaf: leaf[(reservoir.head + rank) % size], reservoir.rows)
    short = jnp.maximum(needed - (size - reservoir.dealt), 0)
    return rows, reservoir._replace(
        head=(reservoir.head + needed) % size,
        dealt=jnp.minimum(reservoir.dealt + needed, size),
        reused=trees.count_up(reservoir.reused, short),
    )
