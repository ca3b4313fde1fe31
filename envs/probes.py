"""Probe environments: tiny worlds with a known answer, each of which isolates one mistake of a learner or a loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least
from jaxrl.spaces import Box, Discrete, MultiDiscrete
from jaxrl.types import Array, Environment, Key


def ring(max_steps: int | None = 3) -> Environment:
    """Five states i -> (i + 1) mod 5, reward 1 for leaving state 0, no termination: only the limit ends an episode.

    Observation: float [5], one-hot. Action: one. Start: uniform.
    With discount d, V(i) = d^((5 - i) mod 5) / (1 - d^5), whatever the limit: a learner that bootstraps anything but
    the observation that a truncated transition reached has other values.
    """
    i = np.arange(5)[:, None, None]
    return tabular(tables(np.ones((5, 1, 1)), (i + 1) % 5, i == 0, False, np.ones(5)), max_steps, np.eye(5))


def chain(length: int = 3, max_steps: int | None = None) -> Environment:
    """`length` steps of reward 1, then termination: every episode has return and length `length`.

    Observation: float [length + 1], one-hot. Action: one. With `max_steps` equal to `length` the last step is both
    terminated and at the limit, and its target is its reward.
    """
    at_least("length", length, 1)
    i = np.arange(length + 1)[:, None, None]
    model = tables(np.ones((1, 1, 1)), np.minimum(i + 1, length), i < length, i >= length - 1, i[:, 0, 0] == 0)
    return tabular(model, max_steps, np.eye(length + 1))


def two_lengths(max_steps: int | None = None) -> Environment:
    """Half of the episodes last 1 step with return 0, half 10 steps with return 10: the mean return is 5.

    Observation: float [12], one-hot: 0 the short episode, 1 to 10 the long one, 11 the end. Action: one.
    """
    i = np.arange(12)[:, None, None]
    next_state = np.where(i == 0, 11, np.minimum(i + 1, 11))
    model = tables(np.ones((1, 1, 1)), next_state, (i >= 1) & (i <= 10), next_state == 11, i[:, 0, 0] <= 1)
    return tabular(model, max_steps, np.eye(12))


def masked_walk(length: int = 6, bait: float = 100.0) -> Environment:
    """A walk of `length` steps with two arms, of which every state allows both, only arm 0, or only arm 1, in turn.

    Observation: float [length + 1], one-hot. Action: the arm, 0 or 1. Reward: the arm's number; `bait` for an
    illegal arm, so that whoever ignores the mask believes in too high a return. Termination: after `length` steps.
    Best return: 1 per step that allows arm 1. Measures: step, the number of steps made.
    """
    at_least("length", length, 1)
    i, arm = np.arange(length + 1)[:, None], np.arange(2)
    legal = (i % 3 == 0) | (i % 3 == arm + 1)
    reward = np.where(i == length, 0.0, np.where(legal, arm, bait))[..., None]
    i = i[..., None]
    model = tables(np.ones((1, 1, 1)), np.minimum(i + 1, length), reward, i >= length - 1, i[:, 0, 0] == 0)
    return tabular(model, None, np.eye(length + 1), legal, {"step": i[:, 0, 0]})


def random_mdp(
    seed: int = 0,
    num_states: int = 10,
    num_actions: int = 3,
    num_outcomes: int = 3,
    end_probability: float = 0.1,
    max_steps: int | None = 100,
) -> Environment:
    """A random finite world: Dirichlet(1) outcomes, standard normal rewards; a tenth of the outcomes terminate.

    Observation: int32 [], the state. Action: int32 []. Start: uniform. `model` is the exact oracle.
    """
    for name, value in (("num_states", num_states), ("num_actions", num_actions), ("num_outcomes", num_outcomes)):
        at_least(name, value, 1)
    generator, shape = np.random.default_rng(seed), (num_states, num_actions, num_outcomes)
    probability = generator.dirichlet(np.ones(num_outcomes), shape[:2])
    next_state, reward = generator.integers(num_states, size=shape), generator.normal(size=shape)
    ends = generator.uniform(size=shape) < end_probability
    return tabular(tables(probability, next_state, reward, ends, np.ones(num_states)), max_steps)


def random_start(num_bits: int = 64, length: int = 3) -> Environment:
    """Every episode starts from `num_bits` random bits, so that a start that is dealt twice is seen.

    Observation: float [num_bits], the bits of this episode. Action: one. Reward: 0. Termination: after `length` steps.
    """
    at_least("length", length, 1)
    at_least("num_bits", num_bits, 1)

    def reset(key: Key, params: Any) -> tuple[Any, Array]:
        bits = jax.random.bernoulli(key, 0.5, (num_bits,)).astype(jnp.float32)
        return (bits, jnp.int32(0)), bits

    def step(key: Key, state: Any, action: Array, params: Any) -> tuple[Any, Array, Array, Array]:
        bits, time = state
        return (bits, time + 1), bits, jnp.float32(0), time + 1 >= length

    return Environment(reset, step, Box(0.0, 1.0, (num_bits,)), Discrete(1))


def counter(length: int | None = 7, max_steps: int | None = None) -> Environment:
    """Every observation tells the episode and the step that it is of, so that mixed or missing steps are seen.

    Observation: float [2], (a random number of the episode below 2^24, the step t). Action: int32 [] in 0 .. 3.
    Reward: the step t that it is for, from 0. Termination: after `length` steps (never, where it is None).
    """
    at_least("length", length, 1)
    at_least("max_steps", max_steps, 1)

    def reset(key: Key, params: Any) -> tuple[Array, Array]:
        state = jnp.stack([jax.random.randint(key, (), 0, 2**24), jnp.int32(0)]).astype(jnp.float32)
        return state, state

    def step(key: Key, state: Array, action: Array, params: Any) -> tuple[Array, Array, Array, Array]:
        after = state.at[1].add(1)
        ended = jnp.bool_(False) if length is None else after[1] >= length
        return after, after, state[1], ended

    return Environment(reset, step, Box(0.0, float(2**24), (2,)), Discrete(4), max_steps=max_steps)


def quadratic(num_dimensions: int = 2) -> Environment:
    """One continuous step: reward minus the squared distance of the action from half the observation (best: 0).

    Observation: float [num_dimensions], uniform in [-1, 1]. Action: float [num_dimensions] in [-1, 1].
    Termination: after the step.
    """
    at_least("num_dimensions", num_dimensions, 1)
    space = Box(-1.0, 1.0, (num_dimensions,))

    def reset(key: Key, params: Any) -> tuple[Array, Array]:
        context = space.sample(key)
        return context, context

    def step(key: Key, state: Array, action: Array, params: Any) -> tuple[Array, Array, Array, Array]:
        return state, state, -jnp.sum((action - 0.5 * state) ** 2), jnp.bool_(True)

    return Environment(reset, step, space, space)


def multi_discrete(sizes: tuple[int, ...] = (3, 2, 4)) -> Environment:
    """One step with several choices at once: the reward is the share of them that repeat the observation (best: 1).

    Observation: float [sum of sizes], a one-hot part per choice. Action: int32 [len(sizes)]. Termination: after the
    step.
    """
    for size in sizes:
        at_least("sizes", size, 1)
    space = MultiDiscrete(tuple(sizes))
    ends = np.cumsum(space.sizes)

    def reset(key: Key, params: Any) -> tuple[Array, Array]:
        wanted = space.sample(key)
        return wanted, observe(wanted)

    def observe(wanted: Array) -> Array:
        places = wanted + np.asarray(ends - space.sizes)
        return jnp.zeros(int(ends[-1]), jnp.float32).at[places].set(1.0)

    def step(key: Key, state: Array, action: Array, params: Any) -> tuple[Array, Array, Array, Array]:
        return state, observe(state), jnp.mean(action == state, dtype=jnp.float32), jnp.bool_(True)

    return Environment(reset, step, Box(0.0, 1.0, (int(ends[-1]),)), space)
