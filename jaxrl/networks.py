"""Networks behind one signature: feed-forward or recurrent, any module. flax is imported in this file only."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl import batch_norm, trees
from jaxrl.errors import UsageError, unknown
from jaxrl.initialisers import orthogonal, orthogonal_kernels
from jaxrl.network_transforms import in_precision, in_slices, remembering, with_held_noise
from jaxrl.types import Array, Key, Network, Observation, Tree

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu, "gelu": jax.nn.gelu, "silu": jax.nn.silu,
}  # fmt: skip
CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}
NORMALISATIONS = ("layer", "batch")
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

_LARGE = 256  # rows from which on a batch is worth transposing


class Settings(NamedTuple):
    """The shape of a network, as presets and the command line name it."""

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    cell: str | None = None  # gru, lstm, or None for a feed-forward network
    cell_size: int = 64
    channels: tuple[int, ...] = ()  # 3x3 convolutions in front, for [H, W, C] features
    reach: float = 0.0  # above 0: bounded features are mapped from their bounds to [-reach, reach] first
    normalisation: str | None = None  # before the activation of every hidden layer: layer (Ba et al. 2016) or batch
    cell_memory: int = 0  # steps over which a new cell remembers: see `remembering`; 0: as flax starts it
    precision: str = "float32"  # or bfloat16: what the network computes in; parameters stay float32
    microbatch_size: int = 0  # above 0: rows that the network sees at a time, see `in_slices`
    log_deviation: float = 0.0  # of a Gaussian policy at first, in units of the bounds
    noise_period: int = 0  # above 0: steps for which a Gaussian policy holds its noise, see `with_held_noise` (gSDE)


class MLP(nn.Module):
    """Dense layers: x [..., n] -> [..., outputs], or the last hidden layer where outputs is None.

    A large batch is laid out with features as rows, because the gradient of a kernel is then a product along the rows
    of both factors: XLA's CPU backend does that about twice as fast, and the other backends do not mind.
    """

    hidden: Sequence[int]
    outputs: int | None = None
    activation: Callable[[Array], Array] = jnp.tanh
    output_scale: float = 1.0
    channels: Sequence[int] = ()
    normalisation: str | None = None
    show_last: bool = False  # -> (what it computes, the last hidden layer)

    @nn.compact
    def __call__(self, x: Array) -> Any:
        for channels in self.channels:
            x = self.activate(Convolution(channels)(x), -1)
        if self.channels:
            x = x.reshape(*x.shape[:-3], -1)
        batch, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
        columns = x.shape[0] >= _LARGE
        sizes = [x.shape[1], *self.hidden, *([] if self.outputs is None else [self.outputs])]
        scales = [2**0.5] * len(self.hidden) + [self.output_scale]
        kernels = self.param("kernels", orthogonal_kernels, list(zip(sizes[:-1], sizes[1:], scales, strict=False)))
        biases = [self.param(f"bias_{i}", nn.initializers.zeros, (size,)) for i, size in enumerate(sizes[1:])]
        x = x.astype(biases[0].dtype) if biases else x
        x = last = jax.lax.optimization_barrier(x.T) if columns else x
        for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            x = kernel.T @ x + bias[:, None] if columns else x @ kernel + bias
            if i < len(self.hidden):
                x = last = self.activate(x, 0 if columns else 1)
        x, last = ((y.T if columns else y).reshape(*batch, -1) for y in (x, last))
        return (x, last) if self.show_last else x

    def activate(self, x: Array, features: int) -> Array:
        """x [...] of which the axis `features` is normalised, if asked for, before the activation."""
        if self.normalisation == "layer":
            x = nn.LayerNorm(reduction_axes=features, feature_axes=features)(x)
        if self.normalisation == "batch":
            x = BatchNorm()(x, features)
        return self.activation(x)


class Convolution(nn.Module):
    """A 3 x 3 convolution of x [..., H, W, C] with zeros around -> [..., H, W, channels].

    As one product of the patches of all places: within a loop XLA's CPU backend takes many times as long for its own
    convolutions, and their gradients, and longer still for those of several networks at once.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width, depth = x.shape[-3:]
        kernel = self.param("kernel", orthogonal(2**0.5), (3, 3, depth, self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        around = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
        places = [(i, j) for i in range(3) for j in range(3)]
        patches = jnp.concatenate([around[..., i : i + height, j : j + width, :] for i, j in places], -1)
        return patches.astype(kernel.dtype) @ kernel.reshape(-1, self.channels) + bias


class BatchNorm(nn.Module):
    """x [...] normalised by running moments over all axes but `features`, then scaled and shifted."""

    @nn.compact
    def __call__(self, x: Array, features: int) -> Array:
        shape = [x.shape[i] if i == features % x.ndim else 1 for i in range(x.ndim)]
        moments = self.param("moments", lambda key: batch_norm.begin(math.prod(shape)))
        scale = self.param("scale", nn.initializers.ones, (math.prod(shape),)).reshape(shape)
        bias = self.param("bias", nn.initializers.zeros, (math.prod(shape),)).reshape(shape)
        return batch_norm.normalise(x, moments, features) * scale + bias


class ActorCritic(nn.Module):
    """Two separate networks: x -> (policy outputs [..., num_outputs + num_free], value [...]).

    The last `num_free` policy outputs are parameters of their own that do not depend on x (a log standard deviation).
    Behind the value come the actor's last hidden layer, where it shows it, and what `auxiliary` makes of that.
    """

    actor: MLP
    critic: nn.Module
    num_free: int = 0
    free: float = 0.0  # the last outputs at first
    auxiliary: nn.Module | None = None

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        outputs, *last = self.actor(x) if self.actor.show_last else (self.actor(x),)
        if self.num_free:
            free = self.param("free", nn.initializers.constant(self.free), (self.num_free,))
            outputs = jnp.concatenate([outputs, jnp.broadcast_to(free, (*outputs.shape[:-1], self.num_free))], -1)
        extra = last if self.auxiliary is None else [*last, self.auxiliary(last[0])]
        return outputs, self.critic(x)[..., 0], *extra


def inputs(obs: Any, batch_axes: int, params: Tree = ()) -> Array:
    """What a module reads of an observation: features and goal, flattened behind the batch axes if several.

    They come in the precision of the parameters.
    """
    if not isinstance(obs, Observation):
        return obs
    precision = next((leaf.dtype for leaf in jax.tree.leaves(params)), jnp.float32)
    parts = [part.astype(precision) for part in jax.tree.leaves((obs.features, obs.goal))]
    return parts[0] if len(parts) == 1 else jnp.concatenate([p.reshape(*p.shape[:batch_axes], -1) for p in parts], -1)


def feedforward(module: nn.Module) -> Network:
    """A network without memory: module(inputs [..., n]) -> out [..., m]."""

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        rngs = None if key is None else {"noise": key}
        return carry, module.apply(params, inputs(obs, first.ndim, params), rngs=rngs)

    return Network(lambda key, obs: module.init(key, inputs(obs, 1)), lambda n: (), step, step)


def recurrent(cell: nn.RNNCellBase, module: nn.Module, encoder: nn.Module) -> Network:
    """encoder -> cell -> module, where only the cell runs step by step; its carry restarts where `first` holds."""

    def begin(n: int) -> Tree:
        return cell.initialize_carry(jax.random.key(0), (n, cell.features))  # zeros: the key is not read

    def init(key: Key, obs: Any) -> Tree:
        keys, x = jax.random.split(key, 3), inputs(obs, 1)
        encoder_params, embedding = encoder.init_with_output(keys[0], x)[::-1]
        carry = begin(x.shape[0])
        (_, hidden), cell_params = cell.init_with_output(keys[1], carry, embedding)
        return {"encoder": encoder_params, "cell": cell_params, "module": module.init(keys[2], hidden)}

    def advance(params: Tree, carry: Tree, embedding: Array, first: Array) -> tuple[Tree, Array]:
        restarted = trees.where(first, begin(first.shape[0]), carry)
        low = jax.tree.map(lambda x: x.astype(embedding.dtype), restarted)
        after, hidden = cell.apply(params["cell"], low, embedding)
        return jax.tree.map(lambda x, before: x.astype(before.dtype), after, carry), hidden

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        embedding = encoder.apply(params["encoder"], inputs(obs, 1, params))
        carry, hidden = advance(params, carry, embedding, first)
        return carry, module.apply(params["module"], hidden, rngs=None if key is None else {"noise": key})

    def unroll(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        def body(carry: Tree, x: tuple[Array, Array]) -> tuple[Tree, Any]:
            carry, hidden = advance(params, carry, *x)
            return carry, (carry, hidden)

        embeddings = encoder.apply(params["encoder"], inputs(obs, 2, params))
        _, (carries, hidden) = jax.lax.scan(body, carry, (embeddings, first))
        return carries, module.apply(params["module"], hidden, rngs=None if key is None else {"noise": key})

    return Network(init, begin, step, unroll)


def build(settings: Settings, heads: Callable[[Callable[..., MLP]], nn.Module]) -> Network:
    """A network from settings; `heads` (mlp) -> the module that ends it, made of mlp(outputs, output_scale=1.0).

    Feed-forward: the heads read the features and hold all hidden layers. Recurrent: an encoder of the hidden layers,
    the cell, and heads without hidden layers.
    """
    for kind, name, known in (
        ("activation", settings.activation, ACTIVATIONS), ("cell", settings.cell, CELLS),
        ("normalisation", settings.normalisation, NORMALISATIONS), ("precision", settings.precision, PRECISIONS),
    ):  # fmt: skip
        if name is not None and name not in known:
            raise unknown(kind, name, known)
    for name in ("log_deviation", "noise_period"):
        if getattr(settings, name):
            raise UsageError(f"{name} is {getattr(settings, name)}, but only a Gaussian policy reads it: set it to 0")
    network = _in_memory(settings, heads)
    network = in_precision(network, PRECISIONS[settings.precision]) if settings.precision != "float32" else network
    return in_slices(network, settings.microbatch_size) if settings.microbatch_size else network


def _in_memory(settings: Settings, heads: Callable[[Callable[..., MLP]], nn.Module]) -> Network:
    activation = ACTIVATIONS[settings.activation]
    body = functools.partial(
        MLP, settings.hidden, activation=activation, channels=settings.channels, normalisation=settings.normalisation
    )
    if settings.cell is None:
        return feedforward(heads(body))
    if not settings.hidden:
        raise UsageError("hidden is empty, but a recurrent network encodes its inputs: give at least one hidden size")
    cell = CELLS[settings.cell](settings.cell_size, recurrent_kernel_init=orthogonal())
    network = recurrent(cell, heads(functools.partial(MLP, (), activation=activation)), body())
    return remembering(network, settings.cell_memory) if settings.cell_memory else network


def actor_critic(settings: Settings, num_outputs: int, num_free: int = 0, num_auxiliary: int = 0) -> Network:
    """out = (policy outputs [..., num_outputs + num_free], value [...]).

    With free outputs it is a Gaussian policy, whose log deviations they are: the one kind that can hold its noise.
    With num_auxiliary the out goes on with the last hidden layer [..., m] and a linear map of it [..., num_auxiliary].
    """
    period = settings.noise_period if num_free else 0
    width = settings.cell_size if settings.cell else (*settings.hidden, 0)[len(settings.hidden) - 1]
    if period and not width:
        raise UsageError(f"noise_period is {period}, but hidden is empty: noise is made of the last hidden layer")

    def heads(mlp: Callable[..., MLP]) -> nn.Module:
        auxiliary = MLP((), num_auxiliary) if num_auxiliary else None
        actor = mlp(num_outputs, output_scale=0.01, show_last=bool(period or num_auxiliary))
        num_last = width * num_outputs if period else num_free
        return ActorCritic(actor, mlp(1), num_last, settings.log_deviation, auxiliary)

    rest = settings._replace(log_deviation=0.0, noise_period=0) if num_free else settings  # which are read here
    network = build(rest, heads)
    return with_held_noise(network, num_outputs, width, period) if period else network
