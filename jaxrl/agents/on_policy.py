"""What on-policy agents share: acting, what the network says along a rollout, chunks of it, epochs of gradient steps.

Two options of theirs bound how far an update moves the policy, as its loss measures it in the metric `kl`: `kl_stop`
leaves out what is left of an update once a minibatch finds more than kl_target; `kl_adaptive` moves the learning rate
in the state after an update whose last minibatch found less than half or more than twice kl_target.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import losses, returns, trees
from jaxrl.agents import rollouts, schedules
from jaxrl.agents.normalisers import Normalisers, normalise, running, scale_rewards, scale_values, unscale_values
from jaxrl.errors import UsageError
from jaxrl.keys import rows
from jaxrl.shuffle import permutation
from jaxrl.statistics import Mean
from jaxrl.types import Array, Key, Network, Rollout, Timestep, Transition, Tree


class Both(NamedTuple):
    """Anything of which policy and value have one each."""

    actor: Tree
    critic: Tree


def begin(
    key: Key, network: Network, direction: optax.GradientTransformation, config: Any, timestep: Timestep
) -> tuple[Tree, optax.OptState, Any, Array, Normalisers]:
    """What the states of these agents begin with: params, optimiser, traced config, a count of 0, normalisers."""
    params = network.init(key, timestep.obs)
    values = getattr(config, "normalise_values", False)
    normalisers = running(timestep, config.normalise_observations, config.normalise_rewards, values)
    optimiser = direction.init(trees.ravel(params)[0])
    return params, optimiser, trees.traced(config), jnp.zeros((), jnp.int32), normalisers


def acting(network: Network, distribution: Callable[..., Any]) -> Callable[..., Any]:
    """`act` of an agent whose network says (policy outputs, value): a sample, or greedily the mode."""

    def act(state: Any, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        obs = normalise(state.normalisers, timestep.obs)
        carry, (outputs, *_) = network.step(state.params, carry, obs, timestep.first, key if explore else None)
        policy = distribution(outputs, obs.legal)  # a network that holds its noise has used the key: no more is drawn
        action = policy.sample(seed=key) if explore else policy.mode()
        return action, carry, {"log_prob": policy.log_prob(action)}

    return act


def read(state: Any, rollout: Rollout) -> tuple[Transition, Transition]:
    """The steps [T, N, ...] of a rollout without what is not valid: as they are, and as the network sees them."""
    steps = rollouts.blank_invalid(rollout.steps)
    obs, next_obs = (normalise(state.normalisers, o) for o in (steps.obs, steps.next_obs))
    return steps, steps._replace(obs=obs, next_obs=next_obs)


def advantages(
    state: Any, steps: Transition, values: Array, next_values: Array, trace_decay: Array | float
) -> tuple[Array, Array, Normalisers]:
    """(advantages, value targets [T, N], the normalisers from now on) of steps as they are, and their values [T, N].

    Values and targets are as the network says them, advantages in units of the rewards that are learnt from.
    """
    rewards, normalisers = scale_rewards(state.normalisers, steps, state.config.discount)
    now, later = (unscale_values(normalisers, x) for x in (values, next_values))
    estimates, targets = returns.gae(
        rewards, now, later, steps.terminated, steps.truncated, state.config.discount, trace_decay, steps.valid
    )
    return estimates, *scale_values(normalisers, targets, steps.valid)


def look(network: Network, params: Tree, carry: Tree, steps: Transition) -> tuple[Tree, Any, Any]:
    """(the carry before each step, out at obs, out at next_obs) [T, N, ...] of a rollout that `carry` [N, ...] began.

    next_obs is what a step really reached, so the carry that reads it goes on also where the next step is a first one.
    """
    carries, out = network.unroll(params, carry, steps.obs, steps.first)
    running = jnp.zeros(steps.first.shape[1:], bool)
    _, next_out = jax.vmap(lambda c, o: network.step(params, c, o, running))(carries, steps.next_obs)
    before = jax.tree.map(lambda start, after: jnp.concatenate([start[None], after[:-1]]), carry, carries)
    return before, out, next_out


def one_each(timestep: Timestep, params: Tree) -> Array:
    """Zeros [N, P]: a vector as long as the parameters for each row."""
    vector = trees.ravel(params)[0]
    return jnp.zeros((timestep.reward.shape[0], vector.size), vector.dtype)


def row_gradients(function: Callable[..., Array], params: Tree, carry: Tree, rows: Tree) -> Array:
    """[N, P]: the gradient for each row of its function (params, carry [1, ...], steps [T, 1, ...]) -> a number."""

    def one(carry: Tree, row: Tree) -> Array:
        carry, row = jax.tree.map(lambda x: x[None], carry), jax.tree.map(lambda x: x[:, None], row)
        return trees.ravel(jax.grad(function)(params, carry, row))[0]

    return jax.vmap(one, (0, 1))(carry, rows)


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
) -> tuple[Any, dict[str, Mean]]:  # fmt: skip
    """Epochs of gradient steps on chunks (carry [M, ...], items [M, L, ...]).

    loss: (params, hyper, carry [B, ...], items [L, B, ...]) -> (loss, metrics), with `hyper` the state's config with
    the coefficients of that step. What comes back is the state with new parameters, optimiser state, count of gradient
    steps and (of `kl_adaptive`) learning rate; and the metrics beside the learning rate.
    """
    hyper = state.config
    steps_per_update = config.num_epochs * config.num_minibatches
    stops, adapts = (getattr(config, name, False) for name in ("kl_stop", "kl_adaptive"))

    def update(learnt: Any, batch: tuple[Tree, Tree]) -> tuple[Any, dict[str, Array]]:
        (params, optimiser, count), kl = learnt
        carry, items = batch[0], jax.tree.map(lambda x: x.swapaxes(0, 1), batch[1])
        rate, now = schedules.learning_rate(hyper, count, steps_per_update), hyper
        if "entropy_span" in config._fields:
            now = hyper._replace(entropy_coefficient=schedules.entropy_coefficient(hyper, count, steps_per_update))
        params, optimiser, metrics = losses.gradient_step(
            lambda p: loss(p, now, carry, items), params, optimiser, direction, rate, hyper.max_gradient_norm
        )
        after = params, optimiser, trees.count_up(count, 1)
        if stops or adapts:
            kl = jnp.where(stops & (kl > hyper.kl_target), kl, metrics["kl"])
        if stops:
            after = jax.tree.map(lambda old, new: jnp.where(kl > hyper.kl_target, old, new), learnt[0], after)
        return (after, kl), metrics | {"learning_rate": rate}

    learnt = (state.params, state.optimiser, state.gradient_steps), jnp.zeros(()) if stops or adapts else ()
    (learnt, kl), metrics = epochs(key, batch, config.num_epochs, config.num_minibatches, update, learnt)
    params, optimiser, count = learnt
    hyper = schedules.follow_divergence(hyper, kl) if adapts else hyper
    return state._replace(params=params, optimiser=optimiser, config=hyper, gradient_steps=count), metrics


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
