"""What on-policy agents share: chunks, and epochs of minibatches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.errors import UsageError
from jaxrl.keys import rows
from jaxrl.shuffle import permutation
from jaxrl.statistics import Mean
from jaxrl.types import Array, Key, Tree


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
