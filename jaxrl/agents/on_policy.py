"""What on-policy agents share: normalisers that belong to the agent's state, chunks, and epochs of minibatches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import statistics, trees
from jaxrl.errors import UsageError
from jaxrl.keys import rows
from jaxrl.shuffle import permutation
from jaxrl.statistics import Mean
from jaxrl.types import Array, Key, Observation, Timestep, Transition, Tree


class Normalisers(NamedTuple):
    """Running statistics; a part that is off is (). They change at the end of `learn` and never in between."""

    observations: Any = ()  # RunningMoments of the features
    returns: Any = ()  # RunningMoments of the discounted return, whose deviation scales rewards
    discounted_return: Any = ()  # [N] up to the last rollout's end


def normalisers(timestep: Timestep, observations: bool, rewards: bool) -> Normalisers:
    reward = jnp.zeros_like(timestep.reward)
    return Normalisers(
        statistics.init(jax.tree.map(lambda x: x[0], timestep.obs.features)) if observations else (),
        statistics.init(reward[0]) if rewards else (),
        reward if rewards else (),
    )


def normalise(state: Normalisers, obs: Observation) -> Observation:
    """Features to mean 0 and deviation 1, within +-10."""
    if state.observations == ():
        return obs
    return obs._replace(features=statistics.normalise(state.observations, obs.features))


def scale_rewards(state: Normalisers, steps: Transition, discount: Array | float) -> tuple[Array, Normalisers]:
    """Rewards [T, N] over the deviation of the discounted return, within +-10, and the state to use from now on."""
    features = steps.obs.features
    observations = state.observations
    if observations != ():
        observations = statistics.update(observations, features, steps.valid)
    if state.returns == ():
        return steps.reward, Normalisers(observations)

    def accumulate(total: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, first = step
        total = jnp.where(first, 0.0, total) * discount + reward
        return total, total

    last, totals = jax.lax.scan(accumulate, state.discounted_return, (steps.reward, steps.first))
    scaled = jnp.clip(steps.reward / statistics.deviation(state.returns), -10.0, 10.0)
    return scaled, Normalisers(observations, statistics.update(state.returns, totals, steps.valid), last)


def chunks(carry: Tree, items: Tree, length: int) -> tuple[Tree, Tree]:
    """Rollout -> chunks: carry [T, N, ...] -> [T/L * N, ...] at each start, items [T, N, ...] -> [T/L * N, L, ...]."""

    def cut(x: Array) -> Array:
        if x.shape[0] % length:
            raise UsageError(f"chunk_length is {length}, but must divide the rollout length {x.shape[0]}")
        x = x.reshape(-1, length, *x.shape[1:]).swapaxes(1, 2)
        return x.reshape(-1, *x.shape[2:])

    return jax.tree.map(lambda x: cut(x)[:, 0], carry), jax.tree.map(cut, items)


def epochs(
    key: Key,
    items: Tree,
    num_epochs: int,
    num_minibatches: int,
    update: Callable[[Any, Tree], tuple[Any, dict[str, Array]]],
    state: Any,
) -> tuple[Any, dict[str, Mean]]:
    """Scan `update` (state, minibatch [B, ...]) over epochs of shuffled items [M, ...], B = M / num_minibatches."""
    size = jax.tree.leaves(items)[0].shape[0]
    if size % num_minibatches:
        raise UsageError(f"num_minibatches is {num_minibatches}, but must divide the {size} chunks of a rollout")
    pack, unpack = trees.packer(items, 1)  # one gather per dtype instead of one per leaf
    packed, names = pack(items), list[str]()

    def step(state: Any, batch: Tree) -> tuple[Any, Array]:
        state, metrics = update(state, batch)
        names[:] = metrics
        return state, jnp.stack(list(metrics.values()))

    if num_minibatches == 1:  # the order within a batch does not matter
        state, metrics = jax.lax.scan(lambda state, _: step(state, items), state, length=num_epochs)
    else:
        orders = jax.lax.map(lambda key: permutation(key, size), rows(key, num_epochs)[0])
        orders = orders.reshape(num_epochs * num_minibatches, -1)
        state, metrics = jax.lax.scan(lambda s, order: step(s, unpack([x[order] for x in packed])), state, orders)
    return state, {name: Mean.of(metrics[:, i]) for i, name in enumerate(names)}
