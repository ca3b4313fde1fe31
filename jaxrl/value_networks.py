"""Networks of action values: plain, dueling, noisy, and of quantiles. Their parts combine freely.

The out for n actions is [..., n] values, or [..., n, K] where K numbers of each are estimated. Noise is drawn with the
key: by `step` for each row on its own, by `unroll` once for all rows and steps.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.networks import MLP, Settings, build
from jaxrl.types import Array, Network

_COSINES = 64  # that stand for a fraction


def _mean_advantage(value: Array, advantage: Array, axis: int) -> Array:
    return value + advantage - jnp.mean(advantage, axis, keepdims=True)


def _max_advantage(value: Array, advantage: Array, axis: int) -> Array:
    return value + advantage - jnp.max(advantage, axis, keepdims=True)


# (value [..., 1, *], advantage [..., n, *], axis of the actions) -> action values: the value is that
# of the average action, or of the best one (Wang et al. 2016, eqs. 9 and 8).
AGGREGATIONS: dict[str, Callable[..., Any]] = {"mean": _mean_advantage, "max": _max_advantage}


class NoisyMLP(MLP):
    """Dense layers whose weights are mean + deviation * noise (Fortunato et al. 2018): x [..., m] -> [..., outputs].

    The noise is factorised: that of a layer with p inputs and q outputs is f(e_p) f(e_q)^T, f(e) = sign(e) sqrt |e|.
    Rows can then have weights of their own at the price of a second product. Without a key: the mean weights.
    """

    deviation: float = 0.5  # of a weight at first, times the root of the layer's inputs
    rank: int = 2  # of an x whose rows (its first axis) draw apart

    @nn.compact
    def __call__(self, x: Array) -> Array:
        sizes = [x.shape[-1], *self.hidden, *([] if self.outputs is None else [self.outputs])]
        layers, apart = list(zip(sizes[:-1], sizes[1:], strict=True)), x.ndim == self.rank
        noise = self.noise(x, apart, [size for layer in layers for size in layer]) if self.has_rng("noise") else []
        for i, (num_inputs, num_outputs) in enumerate(layers):
            bound = num_inputs**-0.5
            means, deviations = _uniform(bound), nn.initializers.constant(self.deviation * bound)
            kernel = self.param(f"kernel_{i}", means, (num_inputs, num_outputs))
            bias = self.param(f"bias_{i}", means, (num_outputs,))
            kernel_deviation = self.param(f"kernel_deviation_{i}", deviations, (num_inputs, num_outputs))
            bias_deviation = self.param(f"bias_deviation_{i}", deviations, (num_outputs,))
            if not noise:
                y = x @ kernel + bias
            elif apart:
                y = x @ kernel + bias + ((x * noise[2 * i]) @ kernel_deviation + bias_deviation) * noise[2 * i + 1]
            else:
                kernel += kernel_deviation * noise[2 * i][:, None] * noise[2 * i + 1]
                y = x @ kernel + bias + bias_deviation * noise[2 * i + 1]
            x = self.activate(y, -1) if i < len(self.hidden) else y
        return x

    def noise(self, x: Array, apart: bool, sizes: list[int]) -> list[Array]:
        """f(e) [..., size] for each size, all from one draw; for rows apart, the axes in front broadcast to x's."""
        rows = (x.shape[0], *[1] * (x.ndim - 2)) if apart else ()
        draw = jax.random.normal(self.make_rng("noise"), (*rows, sum(sizes))).astype(x.dtype)
        return jnp.split(jnp.sign(draw) * jnp.sqrt(jnp.abs(draw)), np.cumsum(sizes)[:-1], axis=-1)


class ValueNetwork(nn.Module):
    """encoder -> layers -> action values [..., n], or [..., n, K]; with an aggregation, two streams of layers."""

    num_actions: int
    num_estimates: int  # K; 0: one value, without an axis of its own
    layers: Callable[[int], nn.Module]  # (number of outputs) -> what computes them
    encoder: nn.Module | None
    aggregate: Callable[..., Any] | None

    @nn.compact
    def __call__(self, x: Array) -> Any:
        return self.estimate(self.encode(x), (self.num_estimates,) if self.num_estimates else ())

    def encode(self, x: Array) -> Array:
        return x if self.encoder is None else self.encoder(x)

    def estimate(self, x: Array, estimates: tuple[int, ...]) -> Any:
        def stream(num_actions: int) -> Array:
            out = self.layers(num_actions * math.prod(estimates))(x)
            return out.reshape(*x.shape[:-1], num_actions, *estimates)

        if self.aggregate is None:
            return stream(self.num_actions)
        return self.aggregate(stream(1), stream(self.num_actions), -1 - len(estimates))


class QuantileNetwork(ValueNetwork):
    """-> (quantiles [..., n, K], their fractions [..., K], the middles of K equal parts) (Dabney et al. 2018a)."""

    @nn.compact
    def __call__(self, x: Array) -> Any:
        x = self.encode(x)
        return self.estimate(x, (self.num_estimates,)), _middles(x, self.num_estimates)


class ImplicitNetwork(ValueNetwork):
    """encoder * embedding of fractions -> layers -> (quantiles [..., n, K], their fractions [..., K]).

    With a key, every row draws its fractions uniformly; without one, they are the middles of K equal parts (Dabney et
    al. 2018b).
    """

    @nn.compact
    def __call__(self, x: Array) -> Any:
        x = self.encode(x)
        fractions = _middles(x, self.num_estimates)
        if self.has_rng("noise"):
            fractions = jax.random.uniform(self.make_rng("noise"), fractions.shape)
        cosines = jnp.cos(np.pi * np.arange(_COSINES) * fractions[..., None])
        embedding = MLP((x.shape[-1],), activation=jax.nn.relu)(cosines)
        quantiles = self.estimate(x[..., None, :] * embedding, ())  # [..., K, n]
        return jax.tree.map(lambda x: x.swapaxes(-1, -2), quantiles), fractions


def q_network(
    settings: Settings, num_actions: int, num_estimates: int = 0,
    aggregate: Callable[..., Any] | None = None, deviation: float | None = None,
    module: type[ValueNetwork] = ValueNetwork,
) -> Network:  # fmt: skip
    """out = action values [..., n], or K = num_estimates numbers of each [..., n, K], as the module says.

    `aggregate`, one of AGGREGATIONS, makes it a dueling network and `deviation` a noisy one. Unless it is plain, each
    stream has the last hidden layer for its own (the others are shared, if there are any), and what is noisy is that
    layer and the output.
    """
    implicit = module is ImplicitNetwork

    def heads(mlp: Any) -> nn.Module:
        hidden, options = mlp.args[0], dict(mlp.keywords)
        channels = options.pop("channels", ())
        plain = aggregate is None and deviation is None and not implicit
        num_shared = 0 if plain else max(len(hidden) - 1, 0 if channels else 1)
        shared, own = hidden[:num_shared], hidden[num_shared:]
        encoder = MLP(shared, channels=channels, **options) if channels or shared else None
        if deviation is None:
            return module(num_actions, num_estimates, functools.partial(MLP, own, **options), encoder, aggregate)
        noisy = functools.partial(NoisyMLP, own, deviation=deviation, rank=3 if implicit else 2, **options)
        return module(num_actions, num_estimates, noisy, encoder, aggregate)

    return build(settings, heads)


def _middles(x: Array, num_parts: int) -> Array:
    """The middles of K equal parts of [0, 1], for each row of x [..., m]: -> [..., K]."""
    return jnp.broadcast_to((np.arange(num_parts, dtype=np.float32) + 0.5) / num_parts, (*x.shape[:-1], num_parts))


def _uniform(bound: float) -> Callable[..., Array]:
    return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
