"""What on-policy agents share: what the network says along a rollout, chunks of it, and epochs of gradient steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl import losses, trees
from jaxrl.agents.schedules import learning_rate
from jaxrl.errors import UsageError
from jaxrl.keys import rows
from jaxrl.shuffle import permutation
from jaxrl.statistics import Mean
from jaxrl.types import Array, Key, Network, Transition, Tree


def look(network: Network, params: Tree, carry: Tree, steps: Transition) -> tuple[Tree, Any, Any]:
    """(the carry before each step, out at obs, out at next_obs) [T, N, ...] of a rollout that `carry` [N, ...] began.

    next_obs is what a step really reached, so the carry that reads it goes on also where the next step is a first one.
    """
    carries, out = network.unroll(params, carry, steps.obs, steps.first)
    running = jnp.zeros(steps.first.shape[1:], bool)
    _, next_out = jax.vmap(lambda c, o: network.step(params, c, o, running))(carries, steps.next_obs)
    before = jax.tree.map(lambda start, after: jnp.concatenate([start[None], after[:-1]]), carry, carries)
    return before, out, next_out


def chunks(carry: Tree, items: Tree, length: int) -> tuple[Tree, Tree]:
    """Rollout -> chunks: carry [T, N, ...] -> [T/L * N, ...] at each start, items [T, N, ...] -> [T/L * N, L, ...]."""

    def cut(x: Array) -> Array:
        if x.shape[0] % length:
            raise UsageError(f"chunk_length is {length}, but must divide the rollout length {x.shape[0]}")
        x = x.reshape(-1, length, *x.shape[1:]).swapaxes(1, 2)
        return x.reshape(-1, *x.shape[2:])

    return jax.tree.map(lambda x: cut(x)[:, 0], carry), jax.tree.map(cut, items)


def descend(
    key: Key, loss: Callable[..., tuple[Array, dict[str, Array]]], batch: tuple[Tree, Tree], state: Any, config: Any,
    direction: optax.GradientTransformation,
) -> tuple[tuple[Tree, optax.OptState, Array], dict[str, Mean]]:  # fmt: skip
    """Epochs of gradient steps on chunks (carry [M, ...], items [M, L, ...]).

    loss: (params, hyper, carry [B, ...], items [L, B, ...]) -> (loss, metrics). What comes back is the new parameters,
    optimiser state and count of gradient steps of `state`, and the metrics beside the learning rate.
    """
    hyper = state.config
    steps_per_update = config.num_epochs * config.num_minibatches

    def update(learnt: Any, batch: tuple[Tree, Tree]) -> tuple[Any, dict[str, Array]]:
        params, optimiser, count = learnt
        carry, items = batch[0], jax.tree.map(lambda x: x.swapaxes(0, 1), batch[1])
        rate = learning_rate(hyper, count, steps_per_update)
        params, optimiser, metrics = losses.gradient_step(
            lambda p: loss(p, hyper, carry, items), params, optimiser, direction, rate, hyper.max_gradient_norm
        )
        return (params, optimiser, trees.count_up(count, 1)), metrics | {"learning_rate": rate}

    learnt = state.params, state.optimiser, state.gradient_steps
    return epochs(key, batch, config.num_epochs, config.num_minibatches, update, learnt)


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
