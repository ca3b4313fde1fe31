"""A stream of random steps for replay to hold, and what replay should say about them, written in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Observation, Rollout, Transition


def stream(length, num_rows, ends, seed=0, agents=()):
    """Transitions [length, N, ...] of all kinds of dtypes, in which a step ends its episode with probability `ends`."""
    random = np.random.default_rng(seed)
    shape = (length, num_rows, *agents)
    terminated, truncated = (random.random(shape) < ends / 2 for _ in range(2))
    last = (terminated | truncated).reshape(length, num_rows, -1).any(-1)
    seen = {
        "position": random.normal(size=(length + 1, num_rows, 3)).astype(np.float32),
        "pixels": random.integers(0, 256, (length + 1, num_rows, 2, 2)).astype(np.uint8),
        "count": random.integers(0, 1000, (length + 1, num_rows)).astype(np.int32),
        "level": random.integers(-9, 9, (length + 1, num_rows)).astype(np.int16),
    }
    legal = random.random((length + 1, num_rows, 3)) < 0.5
    final = Observation({name: x[:-1][::-1] for name, x in seen.items()}, legal=legal[:-1][::-1])
    after = Observation({name: x[1:] for name, x in seen.items()}, legal=legal[1:])

    def reached(ended, going):
        return np.where(last.reshape(last.shape + (1,) * (going.ndim - 2)), ended, going)

    first = np.concatenate([np.ones_like(terminated[:1]), (terminated | truncated)[:-1]])
    return Transition(
        Observation({name: x[:-1] for name, x in seen.items()}, legal=legal[:-1]), first,
        random.integers(0, 5, (length, num_rows)).astype(np.int32), random.normal(size=shape).astype(np.float32),
        terminated, truncated, random.random(shape) < 0.9, jax.tree.map(reached, final, after),
        {"log_prob": random.normal(size=(length, num_rows)).astype(np.float32)},
    )  # fmt: skip


def part(steps, begin, end):
    """The rollout [end - begin, N, ...] from a stream."""
    return Rollout(jax.tree.map(lambda x: jnp.asarray(x[begin:end]), steps), ())


def walk(steps, time, row, num_steps, written, discount):
    """(reward, discount, next_obs) of an n-step experience, after at most `written` steps of the stream."""
    total, count = 0.0, 0
    while True:
        at = (time + count, row)
        total = total + discount**count * steps.reward[at].astype(np.float64)
        count += 1
        if steps.ended[at].any() or count == num_steps or time + count == written:
            reached = jax.tree.map(lambda x, at=at: x[at], steps.next_obs)
            return total, np.where(steps.terminated[at], 0, discount**count), reached
