"""Hindsight experience replay (Andrychowicz et al. 2017): what was reached in an episode serves as its goal.

A share of what is dealt gets the goal that the episode achieved at another of its steps, and the reward and the
termination that the world gives under that goal. Nothing more than the steps is stored: where an episode ends, and
where it began, is read off the flags of its row.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.buffers import storage
from jaxrl.buffers.slots import pick
from jaxrl.buffers.storage import Storage
from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError, at_least, unknown, within
from jaxrl.types import Array, Buffer, Experience, Key, Rollout, Sample, Transition, Tree

STRATEGIES = ("future", "final", "episode")


def hindsight(
    capacity: int, batch_size: int, judge: Callable[[Tree, Tree], tuple[Array, Array]] | None, max_steps: int | None,
    strategy: str = "future", relabelled: float = 0.8, min_size: int | None = None, num_steps: int = 1,
    max_ends: int | None = None,
) -> Buffer:  # fmt: skip
    """A uniform buffer that replaces goals: `judge` is `Environment.hindsight`, no episode is longer than max_steps.

    The new goal of a step is one achieved at this step or a later one of its episode ("future"), at the episode's last
    one ("final"), or at any of it ("episode"), as far as it is written and held. `relabelled` is the share of
    steps that get one; 0.8 is four for each that keeps its own.
    """
    if judge is None:
        raise UsageError("the environment has no goals to replace (its hindsight is None): take another buffer")
    if max_steps is None:
        raise UsageError("hindsight needs a limit to the length of episodes: give the environment max_steps")
    if strategy not in STRATEGIES:
        raise unknown("strategy of hindsight", strategy, STRATEGIES)
    within("relabelled", relabelled, 0, 1)
    at_least("num_steps", num_steps, 1)
    at_least("max_steps", max_steps, 1)
    plain = uniform(capacity, batch_size, min_size, num_steps, max_ends)

    def init(example: Rollout) -> Storage:
        obs = example.steps.obs
        if obs.goal is None or obs.achieved is None or example.steps.reward.ndim > 2:
            raise UsageError("hindsight needs observations of one agent that tell goal and achieved, but they do not")
        return plain.init(example)

    def sample(state: Storage, key: Key, discount: Array | float) -> Sample:
        slot_key, goal_key = jax.random.split(key)
        slots = pick(state, slot_key, batch_size)
        path = storage.read(state, storage.later(state, slots, jnp.arange(num_steps)[:, None]))
        draw = jax.random.uniform(goal_key, (batch_size + 1,))
        begin, end = _span(state, slots, max_steps, strategy)
        source = storage.later(state, slots, begin + jnp.floor(draw[1:] * (end - begin)).astype(jnp.int32))
        # The fraction of a transition that a share of the batch leaves is rounded at random: exact on average.
        chosen = jnp.arange(batch_size) < jnp.floor(relabelled * batch_size + draw[0])
        path = _under(judge, path, chosen, storage.read(state, source).next_obs.achieved)
        return Sample(_walk(path, storage.steps_left(state, slots), discount), slots, jnp.ones(batch_size))

    return Buffer(init, plain.add, sample, plain.update, plain.ready)


def _span(state: Storage, slots: Array, max_steps: int, strategy: str) -> tuple[Array, Array]:
    """The steps from slots [B] whose achievements may become goals: from the first to before the second of int [B]."""
    k = jnp.arange(max_steps)[:, None]
    flags = storage.read_flags(state, storage.later(state, slots, k))
    last = jnp.argmax(flags.ended | (k >= jnp.minimum(storage.steps_left(state, slots), max_steps) - 1), 0)
    if strategy == "future":
        return jnp.zeros_like(last), last + 1
    if strategy == "final":
        return last, last + 1
    before = storage.number(state, slots) // storage.sizes(state)[1]
    flags = storage.read_flags(state, storage.later(state, slots, -k))
    return -jnp.argmax(flags.first | (k >= jnp.minimum(before, max_steps - 1)), 0), last + 1


def _under(judge: Callable[..., Any], path: Transition, chosen: Array, achieved: Tree) -> Transition:
    """Steps [n, B] whose goal is achieved [B, ...] where chosen [B] holds, with what they earn under it."""
    judged = jax.vmap(jax.vmap(judge))
    own, goal = path.obs.goal, jax.tree.map(lambda x, like: jnp.broadcast_to(x, like.shape), achieved, path.obs.goal)
    reward, terminated = judged(path.next_obs.achieved, goal)
    otherwise = path.terminated & ~judged(path.next_obs.achieved, own)[1]  # not because its own goal was reached
    chosen = jnp.broadcast_to(chosen, path.reward.shape)
    goal = trees.where(chosen, goal, own)
    return path._replace(
        obs=path.obs._replace(goal=goal),
        reward=jnp.where(chosen, reward, path.reward),
        terminated=jnp.where(chosen, terminated | otherwise, path.terminated),
        truncated=path.ended,  # so that what ended under its own goal still ends here
        next_obs=path.next_obs._replace(goal=goal),
    )


def _walk(path: Transition, left: Array, discount: Array | float) -> Experience:
    """Steps [n, B], of which left [B] are written -> n-step experience [B]; fewer steps where the episode ends."""
    num_steps, k = path.reward.shape[0], jnp.arange(path.reward.shape[0])[:, None]
    passed = jnp.argmax(path.ended | (k == left - 1) | (k == num_steps - 1), 0)
    powers = discount**k
    reward = jnp.sum(jnp.where(k <= passed, powers * path.reward, 0.0), 0)
    start, end = (jax.tree.map(lambda x, at=at: x[at, jnp.arange(x.shape[1])], path) for at in (0, passed))
    beyond = jnp.where(end.terminated, 0.0, powers[passed, 0] * discount)
    return Experience(start.obs, start.action, reward, beyond, start.valid, end.next_obs, start.extras)
