"""Networks behind one signature: feed-forward or recurrent, any module. flax is imported in this file only."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import trees
from jaxrl.errors import UsageError, at_least, unknown
from jaxrl.types import Array, Key, Network, Observation, Tree

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu, "gelu": jax.nn.gelu, "silu": jax.nn.silu,
}  # fmt: skip
CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}


_LARGE = 256  # rows from which on a batch is worth transposing


class Settings(NamedTuple):
    """The shape of a network, as presets and the command line name it."""

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    cell: str | None = None  # gru, lstm, or None for a feed-forward network
    cell_size: int = 64
    channels: tuple[int, ...] = ()  # 3x3 convolutions in front, for [H, W, C] features
    reach: float = 0.0  # above 0: bounded features are mapped from their bounds to [-reach, reach] first
    layer_norm: bool = False  # before the activation of every hidden layer (Ba et al. 2016)
    cell_memory: int = 0  # steps over which a new cell remembers: see `remembering`; 0: as flax starts it


def orthogonal(scale: float = 1.0) -> Callable[..., Array]:
    """An initialiser (key, shape [..., n, m], dtype) of orthogonal rows or columns, times scale (Saxe et al. 2014)."""

    def init(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        matrix = (math.prod(shape[:-1]), shape[-1])
        return _orthogonal_kernels(key, [(*matrix, scale)])[0].reshape(shape).astype(dtype)

    return init


def _orthogonal_kernels(key: Key, shapes: Sequence[tuple[int, int, float]]) -> list[Array]:
    """An orthogonal matrix [rows, columns] times scale for each (rows, columns, scale), all from one draw.

    The polar factor of a Gaussian matrix is uniform on the orthogonal matrices, and the Newton-Schulz iteration finds
    it with products alone: LAPACK's batched QR, which a vmap over seeds would call, can deadlock on CPU. All matrices
    go through one iteration, padded with zeros (which it keeps), because every loop costs time to compile.
    """
    if not shapes:
        return []
    tall = [(max(rows, columns), min(rows, columns)) for rows, columns, _ in shapes]
    size = tuple(max(sides) for sides in zip(*tall, strict=True))
    inside = np.stack(
        [np.pad(np.ones(t, np.float32), [(0, a - b) for a, b in zip(size, t, strict=True)]) for t in tall]
    )
    largest = np.asarray([n**0.5 + m**0.5 for n, m in tall], np.float32)  # about each one's largest singular value
    x = jax.random.normal(key, (len(shapes), *size)) * (inside / largest[:, None, None])
    x = jax.lax.fori_loop(0, 40, lambda _, x: 1.5 * x - 0.5 * x @ (x.swapaxes(1, 2) @ x), x)
    kernels = [kernel[:n, :m] for kernel, (n, m) in zip(x, tall, strict=True)]
    return [s * (k if r >= c else k.T) for k, (r, c, s) in zip(kernels, shapes, strict=True)]


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
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for channels in self.channels:
            x = self.activate(nn.Conv(channels, (3, 3), kernel_init=orthogonal(2**0.5))(x), -1)
        if self.channels:
            x = x.reshape(*x.shape[:-3], -1)
        batch, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
        columns = x.shape[0] >= _LARGE
        sizes = [x.shape[1], *self.hidden, *([] if self.outputs is None else [self.outputs])]
        scales = [2**0.5] * len(self.hidden) + [self.output_scale]
        kernels = self.param("kernels", _orthogonal_kernels, list(zip(sizes[:-1], sizes[1:], scales, strict=False)))
        biases = [self.param(f"bias_{i}", nn.initializers.zeros, (size,)) for i, size in enumerate(sizes[1:])]
        x = jax.lax.optimization_barrier(x.T) if columns else x
        for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            x = kernel.T @ x + bias[:, None] if columns else x @ kernel + bias
            x = self.activate(x, 0 if columns else 1) if i < len(self.hidden) else x
        return (x.T if columns else x).reshape(*batch, -1)

    def activate(self, x: Array, features: int) -> Array:
        """x [...] of which the axis `features` is normalised, if asked for, before the activation."""
        normal = nn.LayerNorm(reduction_axes=features, feature_axes=features)(x) if self.layer_norm else x
        return self.activation(normal)


class ActorCritic(nn.Module):
    """Two separate networks: x -> (policy outputs [..., num_outputs + num_free], value [...]).

    The last `num_free` policy outputs are parameters of their own that do not depend on x (a log standard deviation).
    """

    actor: nn.Module
    critic: nn.Module
    num_free: int = 0

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        outputs = self.actor(x)
        if self.num_free:
            free = self.param("free", nn.initializers.zeros, (self.num_free,))
            outputs = jnp.concatenate([outputs, jnp.broadcast_to(free, (*outputs.shape[:-1], self.num_free))], -1)
        return outputs, self.critic(x)[..., 0]


def inputs(obs: Any, batch_axes: int) -> Array:
    """What a module reads of an observation: features and goal, flattened behind the batch axes if several."""
    if not isinstance(obs, Observation):
        return obs
    parts = [part.astype(jnp.float32) for part in jax.tree.leaves((obs.features, obs.goal))]
    return parts[0] if len(parts) == 1 else jnp.concatenate([p.reshape(*p.shape[:batch_axes], -1) for p in parts], -1)


def feedforward(module: nn.Module) -> Network:
    """A network without memory: module(inputs [..., n]) -> out [..., m]."""

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        rngs = None if key is None else {"noise": key}
        return carry, module.apply(params, inputs(obs, first.ndim), rngs=rngs)

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
        carry = trees.where(first, begin(first.shape[0]), carry)
        return cell.apply(params["cell"], carry, embedding)

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        embedding = encoder.apply(params["encoder"], inputs(obs, 1))
        carry, hidden = advance(params, carry, embedding, first)
        return carry, module.apply(params["module"], hidden, rngs=None if key is None else {"noise": key})

    def unroll(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        def body(carry: Tree, x: tuple[Array, Array]) -> tuple[Tree, Any]:
            carry, hidden = advance(params, carry, *x)
            return carry, (carry, hidden)

        embeddings = encoder.apply(params["encoder"], inputs(obs, 2))
        _, (carries, hidden) = jax.lax.scan(body, carry, (embeddings, first))
        return carries, module.apply(params["module"], hidden, rngs=None if key is None else {"noise": key})

    return Network(init, begin, step, unroll)


def build(settings: Settings, heads: Callable[[Callable[..., MLP]], nn.Module]) -> Network:
    """A network from settings; `heads` (mlp) -> the module that ends it, made of mlp(outputs, output_scale=1.0).

    Feed-forward: the heads read the features and hold all hidden layers. Recurrent: an encoder of the hidden layers,
    the cell, and heads without hidden layers.
    """
    for kind, name, known in (("activation", settings.activation, ACTIVATIONS), ("cell", settings.cell, CELLS)):
        if name is not None and name not in known:
            raise unknown(kind, name, known)
    activation = ACTIVATIONS[settings.activation]
    body = functools.partial(
        MLP, settings.hidden, activation=activation, channels=settings.channels, layer_norm=settings.layer_norm
    )
    if settings.cell is None:
        return feedforward(heads(body))
    if not settings.hidden:
        raise UsageError("hidden is empty, but a recurrent network encodes its inputs: give at least one hidden size")
    cell = CELLS[settings.cell](settings.cell_size, recurrent_kernel_init=orthogonal())
    network = recurrent(cell, heads(functools.partial(MLP, (), activation=activation)), body())
    return remembering(network, settings.cell_memory) if settings.cell_memory else network


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


def actor_critic(settings: Settings, num_outputs: int, num_free: int = 0) -> Network:
    """out = (policy outputs [..., num_outputs + num_free], value [...])."""
    return build(settings, lambda mlp: ActorCritic(mlp(num_outputs, output_scale=0.01), mlp(1), num_free))
