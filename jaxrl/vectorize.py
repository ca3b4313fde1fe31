"""N environments behind one step. The only room that knows time limits, auto-reset and episode statistics."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import keys, spaces, trees
from jaxrl.types import Array, Environment, Key, Observation, Timestep, Tree, VecEnv


class Row(NamedTuple):
    """What an episode starts from."""

    state: Tree  # [N, ...] the environment's state
    obs: Observation  # [N, ...]
    params: Tree  # [N, ...] the row's own dynamics parameters, or () where all rows share the task


class Reservoir(NamedTuple):
    """A start in store for each row. K of them are renewed in every step, round and round."""

    rows: Row  # [N, ...]
    used: Array  # bool [N] dealt, and not renewed since
    next: Array  # int32: the first that the coming step renews
    reused: Array  # int32: starts dealt again, to rows that ended twice between two renewals of their store


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
    share the task. With `renewed` = K, every row has its next start in store and K of these are renewed per step, so
    that a step costs K resets and no start is dealt twice while no episode is shorter than N / K steps (those that
    are, are counted in `reused`). Without it every ended row gets a start that is drawn in that very step.
    """

    def start(row_keys: Key, task: Tree) -> Row:
        params: Tree = ()
        if draw is not None:
            row_keys, draw_keys = jax.vmap(lambda k: tuple(jax.random.split(k)))(row_keys)
            params = jax.vmap(draw, (0, None))(draw_keys, task)
        state, obs = _map(env.reset, params if draw else task, draw)(row_keys)
        return Row(state, observe(state, obs, params, task), params)

    def observe(state: Tree, obs: Any, params: Tree, task: Tree) -> Observation:
        obs = obs if isinstance(obs, Observation) else Observation(obs)
        if env.legal_actions is None:
            return obs
        return obs._replace(legal=_map(env.legal_actions, params if draw else task, draw)(state))

    def measure(state: Tree, params: Tree) -> dict[str, Array]:
        return {} if env.measure is None else _map(env.measure, params, draw)(state)

    def reset(key: Key, task: Tree) -> tuple[VecState, Timestep]:
        row_keys, pool_keys = keys.rows(key, num_envs, num_envs)
        row, zero = start(row_keys, task), jnp.zeros((), jnp.int32)
        shape = (num_envs,) if env.num_agents is None else (num_envs, env.num_agents)
        stored = () if renewed is None else Reservoir(start(pool_keys, task), jnp.zeros(num_envs, bool), zero, zero)
        alive = () if env.num_agents is None else jnp.ones(shape, bool)
        returns, steps, never = jnp.zeros(shape), jnp.zeros(num_envs, jnp.int32), jnp.zeros(shape, bool)
        info = _info(returns, steps, measure(row.state, row.params if draw else task), stored)
        state = VecState(row.state, row.params, steps, alive, returns, stored)
        return state, Timestep(row.obs, ~never, returns, never, never, never, row.obs, info)

    def step(key: Key, before: VecState, action: Tree, task: Tree) -> tuple[VecState, Timestep]:
        step_keys, reset_keys = keys.rows(keys.inline(key), num_envs, renewed or num_envs)
        params, action = before.params if draw else task, spaces.clip(env.action_space, action)
        state, obs, reward, terminated = _map(env.step, params, draw)(step_keys, before.state, action)
        obs, steps, valid = observe(state, obs, before.params, task), before.steps + 1, jnp.ones_like(terminated)
        if env.num_agents is not None:
            terminated, valid = terminated | ~before.alive, before.alive
        limit = steps >= env.max_steps if env.max_steps is not None else jnp.zeros_like(steps, bool)
        ended = limit | (terminated if env.num_agents is None else terminated.all(-1))
        per_actor, truncated = _per_actor(ended, terminated), _per_actor(limit, terminated)
        returns = before.episode_return + jnp.where(valid, reward, 0.0)
        stepped = Row(state, obs, before.params)
        row, reservoir = restart(reset_keys, task, ended, stepped, before.reservoir)
        after = VecState(
            row.state, row.params, jnp.where(ended, 0, steps),
            () if env.num_agents is None else ~terminated | per_actor,
            jnp.where(per_actor, 0.0, returns), reservoir,
        )  # fmt: skip
        info = _info(returns, steps, measure(state, params), reservoir)
        return after, Timestep(row.obs, per_actor, reward, terminated, truncated, valid, obs, info)

    def restart(row_keys: Key, task: Tree, ended: Array, stepped: Row, reservoir: Any) -> tuple[Row, Any]:
        # XLA works out what a branch of a conditional reads once, and not again for every array that is selected.
        if renewed is not None:
            reservoir = _renew(reservoir, start(row_keys, task))

        def restarted() -> Row:
            return trees.where(ended, start(row_keys, task) if renewed is None else reservoir.rows, stepped)

        row = jax.lax.cond(jnp.any(ended), restarted, lambda: stepped)
        return row, () if renewed is None else _mark(reservoir, ended)

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
    """Put K fresh starts in the place of the next K. (By a scatter: as a slice they would be worked out one by one.)"""
    count, size = (jax.tree.leaves(rows)[0].shape[0] for rows in (fresh, reservoir.rows))
    places = (reservoir.next + jnp.arange(count)) % size

    def write(old: Array, new: Array | bool) -> Array:
        return old.at[places].set(new, mode="promise_in_bounds", unique_indices=True)

    rows = jax.tree.map(write, reservoir.rows, fresh)
    return reservoir._replace(rows=rows, used=write(reservoir.used, False), next=(reservoir.next + count) % size)


def _mark(reservoir: Reservoir, ended: Array) -> Reservoir:
    """The starts of the rows that ended are used now; those that were already are counted."""
    again = jnp.sum(ended & reservoir.used, dtype=jnp.int32)
    return reservoir._replace(used=reservoir.used | ended, reused=trees.count_up(reservoir.reused, again))
