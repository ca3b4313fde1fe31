"""Times random play in many rows of one environment. Both sides measure with this file, so it imports nothing of ours.

A program is a scan of T steps over N rows: draw actions, step, reset what ended. The whole carry (states and the
observations that an agent would read) goes from one call to the next, and the first call is not timed.
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

FEWEST_STEPS = 8  # of a scan, however many rows it has


class World(NamedTuple):
    """N rows of an environment that resets its rows itself."""

    reset: Callable[..., Any]  # (key) -> carry
    step: Callable[..., Any]  # (key, carry, action) -> (carry, reward [N, ...], ended bool [N])
    sample: Callable[..., Any]  # (key) -> the actions of all rows
    state: Callable[..., Any]  # (carry) -> what is kept between steps, without the observation
    limit: int = 0  # steps that the calls make at least, so that episodes are cut inside of them
    counts: Callable[..., dict[str, Any]] = lambda carry: {}  # (carry) -> counts to report


def discrete(num_actions: int, shape: tuple[int, ...]) -> Callable[..., jax.Array]:
    """Uniform up to n / 2^32, from half of the random bits that `randint` takes: what is timed is the stepping."""
    return lambda key: (jax.random.bits(key, shape, jnp.uint32) % num_actions).astype(jnp.int32)


def continuous(low: Any, high: Any, shape: tuple[int, ...]) -> Callable[..., jax.Array]:
    return lambda key: jax.random.uniform(key, shape, minval=low, maxval=high)


def play(world: World, num_steps: int) -> Callable[..., Any]:
    """(carry, key) -> (carry, sum of rewards, episodes that ended) after T steps of random play."""

    def step(state: tuple[Any, Any, Any], keys: jax.Array) -> tuple[Any, None]:
        carry, rewards, episodes = state
        carry, reward, ended = world.step(keys[1], carry, world.sample(keys[0]))
        return (carry, rewards + jnp.sum(reward), episodes + jnp.sum(ended, dtype=jnp.int32)), None

    def steps(carry: Any, key: jax.Array) -> Any:
        begin = (carry, jnp.zeros(()), jnp.zeros((), jnp.int32))
        return jax.lax.scan(step, begin, jax.random.split(key, (num_steps, 2)))[0]

    return steps


def measure(world: World, num_rows: int, steps: int, calls: int) -> dict[str, Any]:
    """Speed, compile time and size of one number of rows; each call makes about `steps` steps over all rows."""
    length = max(steps // num_rows, FEWEST_STEPS, -(-world.limit // calls))
    begin = time.perf_counter()
    reset = jax.jit(world.reset).lower(jax.random.key(0)).compile()
    shapes = jax.eval_shape(world.reset, jax.random.key(0))
    run = jax.jit(play(world, length)).lower(shapes, jax.random.key(0)).compile()
    built = time.perf_counter()
    carry = jax.block_until_ready(reset(jax.random.key(0)))
    seconds, rewards, episodes = [], 0.0, 0
    for call in range(calls + 1):
        start = time.perf_counter()
        carry, reward, ended = jax.block_until_ready(run(carry, jax.random.key(1 + call)))
        seconds.append(time.perf_counter() - start)
        rewards, episodes = rewards + float(reward), episodes + int(ended)
    total = length * num_rows * (calls + 1)
    return {
        "steps_per_second": length * num_rows / statistics.median(seconds[1:]), "seconds": seconds[1:],
        "scan_length": length, "compile_seconds": built - begin,
        "state_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(world.state(carry))) / num_rows,
        "reward_per_step": rewards / total, "episodes": episodes,
        "episode_steps": total / episodes if episodes else None,
        **{name: int(count) for name, count in world.counts(carry).items()},
    }  # fmt: skip


def report(make: Callable[[int], World], asked: dict[str, Any], packages: Iterable[str]) -> dict[str, Any]:
    """The figures for each number of rows, as a worker prints them."""
    return {
        "rows": {str(n): measure(make(n), n, asked["steps"], asked["calls"]) for n in asked["rows"]},
        "devices": jax.device_count(), "versions": {name: importlib.metadata.version(name) for name in packages},
    }  # fmt: skip
