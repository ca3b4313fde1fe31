"""Options of a network, `Network -> Network`: precision, rows at a time, gates, held noise, a central critic."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import keys
from jaxrl.errors import UsageError, at_least
from jaxrl.types import Array, Key, Network, Observation, Tree


def in_precision(network: Network, dtype: Any) -> Network:
    """A network that computes in `dtype` and keeps float32 parameters: outputs, carries and gradients are float32.

    Losses are therefore float32 too, and an optimiser adds small steps to parameters that can hold them.
    """

    def run(function: Callable[..., Any]) -> Callable[..., Any]:
        def low(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
            after, out = function(_cast(params, dtype), carry, _cast(obs, dtype), first, key)
            like = jax.tree.map(lambda x, before: x.astype(before.dtype), after, carry)
            return like, _cast(out, jnp.float32)

        return low

    return network._replace(step=run(network.step), unroll=run(network.unroll))


def _cast(tree: Tree, dtype: Any) -> Tree:
    """The numbers that are floats, in another precision."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def in_slices(network: Network, size: int) -> Network:
    """A network that sees at most `size` rows at a time, one slice of a larger batch [..., N, ...] after the other.

    Of each slice only the inputs are kept for the gradient, and the slices' gradients are added up one by one: the
    memory of activations is that of one slice, a loss is what it was, and the price is a second forward pass. Noise
    of an unrolled network is that of one batch, drawn alike in every slice.
    """

    def run(function: Callable[..., Any], axis: int) -> Callable[..., Any]:
        def sliced(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
            num_rows = first.shape[axis]
            if num_rows <= size:
                return function(params, carry, obs, first, key)
            if num_rows % size:
                raise UsageError(f"microbatch_size is {size}, but must divide a batch of {num_rows} rows")

            def cut(x: Array, axis: int) -> Array:
                return jnp.moveaxis(x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :]), axis, 0)

            def join(x: Array) -> Array:
                x = jnp.moveaxis(x, 0, axis)
                return x.reshape(*x.shape[:axis], num_rows, *x.shape[axis + 2 :])

            slices = jax.tree.map(lambda x: cut(x, 0), carry), jax.tree.map(lambda x: cut(x, axis), (obs, first))
            drawn = None
            if key is not None and axis == 0:  # folded, not split: whoever gave the key may draw from it too
                drawn = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(num_rows // size))

            @functools.partial(jax.checkpoint, prevent_cse=False)  # nothing is merged across the steps of a loop
            def one(params: Tree, i: Array, each: Any) -> tuple[Tree, Any]:
                carry, (obs, first) = each
                return function(params, carry, obs, first, key if drawn is None else drawn[i])

            parts = jax.lax.map(lambda x: one(params, *x), (jnp.arange(num_rows // size), slices))
            return jax.tree.map(join, parts)

        return sliced

    return network._replace(step=run(network.step, 0), unroll=run(network.unroll, 1))


def remembering(network: Network, num_steps: int) -> Network:
    """A recurrent network whose cell starts with gates that keep what they hold for 1 to num_steps - 1 steps.

    Unit by unit evenly spread (Tallec and Ollivier 2018, there drawn at random). A cell starts with gates half open
    otherwise, and a gradient is halved with every step that it goes back.
    """
    at_least("cell_memory", num_steps, 2)

    def init(key: Key, obs: Any) -> Tree:
        params = network.init(key, obs)
        gates = dict(params["cell"]["params"])
        signs = {"iz": 1.0} if "iz" in gates else {"hf": 1.0, "hi": -1.0}  # of a GRU, of an LSTM
        for name, sign in signs.items():
            bias = gates[name]["bias"]
            gates[name] = gates[name] | {"bias": bias + sign * jnp.log(jnp.linspace(1.0, num_steps - 1.0, bias.size))}
        return params | {"cell": {"params": gates}}

    return network._replace(init=init)


def with_held_noise(network: Network, num_actions: int, num_features: int, period: int) -> Network:
    """State-dependent exploration (gSDE; Raffin et al. 2021) on a network of a Gaussian policy over d actions.

    The noise of an action is a linear function of the policy's features z [L], whose weights are drawn from
    N(0, s_ij^2 / L) every `period` steps and at the start of an episode: between, a state has one and the same action.
    Its variance is sum_i (z_i s_ij)^2 / L, through which no gradient reaches the features, as in the authors' code.

    out: (means [..., d] and log s [..., L d], value, z, ...) -> (means and log deviations [..., 2 d], value, ...), and
    behind them, where `step` is given a key, the noise [..., d] in units of the deviation.
    """

    def read(out: Any) -> tuple[tuple[Array, ...], Array, Array]:
        """What a head reads, the deviations of the noise [..., L, d] by feature, and of the action [..., d]."""
        outputs, value, features, *rest = out
        mean, log_weight = jnp.split(outputs, [num_actions], axis=-1)
        log_weight = log_weight.reshape(*mean.shape[:-1], num_features, num_actions)
        parts = jax.lax.stop_gradient(features)[..., None] * jnp.exp(log_weight) * num_features**-0.5
        deviation = jnp.sqrt(jnp.sum(parts**2, axis=-2) + 1e-6)
        return (jnp.concatenate([mean, jnp.log(deviation)], -1), value, *rest), parts, deviation

    def begin(n: int) -> Tree:
        return network.begin(n), jnp.zeros(n, jnp.uint32), jnp.zeros(n, jnp.int32)

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        inner, seed, age = carry
        inner, out = network.step(params, inner, obs, first)
        (outputs, *rest), parts, deviation = read(out)
        if key is None:
            return (inner, seed, age), (outputs, *rest)
        restart = first | (age >= period)
        seed = jnp.where(restart, jax.random.bits(key, seed.shape), seed)  # stands for the weights, which are many
        weights = jax.vmap(lambda s: jax.random.normal(keys.inline(jax.random.key(s)), parts.shape[1:]))(seed)
        noise = jnp.sum(parts * weights, axis=-2) / deviation
        return (inner, seed, jnp.where(restart, 1, age + 1)), (jnp.concatenate([outputs, noise], -1), *rest)

    def unroll(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        inner, *held = carry
        inner, out = network.unroll(params, inner, obs, first)
        return (inner, *(jnp.broadcast_to(x, first.shape) for x in held)), read(out)[0]

    return Network(network.init, begin, step, unroll)


def with_central_critic(network: Network) -> Network:
    """Two copies of an actor-critic, one of which the policy outputs are read from, of the other the value.

    The second one sees obs.state [..., s] in place of the features. The rest of the out is the first one's.
    """

    def world(obs: Observation) -> Observation:
        if obs.state is None:
            raise UsageError("a central critic reads obs.state, but the observation has none: it belongs into a team")
        return Observation(obs.state)

    def init(key: Key, obs: Observation) -> Tree:
        actor_key, critic_key = jax.random.split(key)
        return {"actor": network.init(actor_key, obs), "critic": network.init(critic_key, world(obs))}

    def begin(n: int) -> Tree:
        return {"actor": network.begin(n), "critic": network.begin(n)}

    def run(function: Callable[..., Any]) -> Callable[..., Any]:
        def both(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
            actor, (outputs, _, *rest) = function(params["actor"], carry["actor"], obs, first, key)
            critic, (_, value, *_) = function(params["critic"], carry["critic"], world(obs), first)
            return {"actor": actor, "critic": critic}, (outputs, value, *rest)

        return both

    return Network(init, begin, run(network.step), run(network.unroll))
