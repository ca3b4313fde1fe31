"""Times a replay buffer: add a block, deal a batch, and set its priorities where the buffer has any.

Both sides measure with this file, so it imports nothing of ours. A program is a scan of iterations over a full buffer;
blocks differ from one to the next, and all that is dealt is summed up, so that nothing can be left out or done once.
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BLOCKS = 16  # different ones, dealt in turn
ITERATIONS = 100  # of one call
DISCOUNT = 0.99


class Side(NamedTuple):
    """A buffer of one side; a block is a dict of arrays [rows, ...]: obs, action, reward, ended, reached."""

    init: Callable[..., Any]  # (block) -> state
    add: Callable[..., Any]  # (state, block) -> state
    sample: Callable[..., Any]  # (state, key) -> (all that is dealt, rewards [B], indices [B], weights [B])
    update: Callable[..., Any]  # (state, indices, priorities) -> state; the identity without priorities
    num_bytes: Callable[..., dict[str, int]]  # (block) -> {"transitions": ..., and what is counted apart}


def blocks(num_rows: int) -> dict[str, jax.Array]:
    """Steps of CartPole's kind, [blocks, rows, ...]; one in 22 ends its episode, as under random play."""
    obs_key, next_key, reward_key, end_key = jax.random.split(jax.random.key(0), 4)
    shape = (BLOCKS, num_rows)
    obs = jax.random.normal(obs_key, (*shape, 4))
    return {
        "obs": obs, "action": (obs[..., 0] > 0).astype(jnp.int32), "reward": jax.random.uniform(reward_key, shape),
        "ended": jax.random.uniform(end_key, shape) < 1 / 22, "reached": jax.random.normal(next_key, obs.shape),
    }  # fmt: skip


def iterate(side: Side, given: Any) -> Callable[..., Any]:
    """(state, key, total) -> the same after ITERATIONS of add, sample and update."""

    def step(carry: Any, i: jax.Array) -> tuple[Any, None]:
        state, key, total = carry
        key, sample_key = jax.random.split(key)
        state = side.add(state, jax.tree.map(lambda x: x[i % BLOCKS], given))
        dealt, rewards, indices, weights = side.sample(state, sample_key)
        total = total + sum(jnp.sum(leaf, dtype=jnp.float32) for leaf in jax.tree.leaves(dealt))
        return (side.update(state, indices, rewards * (1 + weights)), key, total), None

    return lambda *carry: jax.lax.scan(step, carry, jnp.arange(ITERATIONS))[0]


def measure(side: Side, capacity: int, num_rows: int, calls: int) -> dict[str, Any]:
    """Microseconds of an iteration, compile time and bytes per transition at one capacity."""
    given = blocks(num_rows)
    block = jax.tree.map(lambda x: x[0], given)
    state = jax.jit(side.init)(block)
    fill = lambda state: jax.lax.fori_loop(  # noqa: E731
        0, capacity // num_rows, lambda i, s: side.add(s, jax.tree.map(lambda x: x[i % BLOCKS], given)), state
    )
    state = jax.jit(fill, donate_argnums=0)(state)
    carry = (state, jax.random.key(1), jnp.zeros(()))
    begin = time.perf_counter()
    run = jax.jit(iterate(side, given), donate_argnums=0).lower(*carry).compile()
    built = time.perf_counter()
    seconds = []
    for _ in range(calls + 3):
        start = time.perf_counter()
        carry = jax.block_until_ready(run(*carry))
        seconds.append(time.perf_counter() - start)
    sizes = side.num_bytes(block)
    return {
        "microseconds": statistics.median(seconds[3:]) / ITERATIONS * 1e6, "fastest": min(seconds) / ITERATIONS * 1e6,
        "compile_seconds": built - begin, "bytes_per_transition": sizes.pop("transitions") / capacity,
        "bytes_apart": {name: size / capacity for name, size in sizes.items()}, "total": float(carry[2]),
        "temporary_bytes": run.memory_analysis().temp_size_in_bytes,
    }  # fmt: skip


def report(make: Callable[[int], Side], asked: dict[str, Any], packages: Iterable[str]) -> dict[str, Any]:
    """The figures at each capacity, as a worker prints them."""
    return {
        "capacities": {
            str(each): measure(make(each), each, asked["add"], asked["calls"]) for each in asked["capacities"]
        },
        "devices": jax.device_count(), "versions": {name: importlib.metadata.version(name) for name in packages},
    }  # fmt: skip
