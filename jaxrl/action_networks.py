"""Networks of continuous control: values of (obs, action), policies, and ensembles of any network."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError, at_least
from jaxrl.networks import MLP, Settings, build, inputs
from jaxrl.types import Array, Key, Network, Tree


class Bounds(NamedTuple):
    """A bounded box of actions [..., *shape] as agents compute with it: flat, -1 and 1 standing for its bounds."""

    size: int  # d
    to_units: Callable[[Array], Array]  # [..., *shape] -> [..., d]
    from_units: Callable[[Array], Array]  # [..., d] -> [..., *shape], inside the bounds whatever comes


def bounds(action_space: spaces.Space) -> Bounds:
    """The units of a Box of floats whose bounds are finite; any other space is refused."""
    if not isinstance(action_space, spaces.Box) or not np.issubdtype(action_space.dtype, np.floating):
        raise UsageError(f"a continuous policy needs a Box of floats for actions, got {action_space}")
    low, high = action_space.bounds()
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise UsageError(f"expected finite bounds, low < high, for every action, got low {low} and high {high}")
    middle, half_range, shape = (low + high) / 2, (high - low) / 2, action_space.shape

    def to_units(action: Array) -> Array:
        batch = action.shape[: action.ndim - len(shape)]
        return ((action - middle) / half_range).reshape(*batch, -1)

    def from_units(units: Array) -> Array:
        action = middle + half_range * units.reshape(*units.shape[:-1], *shape)
        return jnp.clip(action, low, high).astype(action_space.dtype)

    return Bounds(math.prod(shape), to_units, from_units)


class ActionValue(nn.Module):
    """(obs [...], action [..., d]) -> value [...]: an encoder of what is seen, if any, then layers that see both."""

    layers: MLP
    encoder: MLP | None

    @nn.compact
    def __call__(self, x: tuple[Any, Array]) -> Array:
        obs, action = x
        seen = inputs(obs, action.ndim - 1)
        seen = seen if self.encoder is None else self.encoder(seen)
        return self.layers(jnp.concatenate([seen, action], axis=-1))[..., 0]


def action_value(settings: Settings) -> Network:
    """out = value [...] of obs = (observation, action [..., d]), without memory; convolutions see no action."""
    without_memory(settings)

    def heads(mlp: Any) -> nn.Module:
        options = dict(mlp.keywords)
        channels = options.pop("channels", ())
        encoder = MLP((), channels=channels, **options) if channels else None
        return ActionValue(MLP(*mlp.args, outputs=1, **options), encoder)

    return build(settings, heads)


def policy(settings: Settings, num_outputs: int) -> Network:
    """out = what a policy's head reads [..., num_outputs], near 0 at first; without memory."""
    without_memory(settings)
    return build(settings, lambda mlp: mlp(num_outputs, output_scale=0.01))


def without_memory(settings: Settings) -> None:
    """Refuse a cell: what replay deals of single steps has no memory to start from."""
    if settings.cell is not None:
        raise UsageError(f"cell is {settings.cell}, but this agent has no memory of its own: set cell to none")


def ensemble(network: Network, size: int) -> Network:
    """n networks of the same kind side by side: parameters [n, ...], carry [rows, n, ...], out [n, ...].

    Their products stay apart: XLA's CPU backend takes longer for one batched product, and above all for its gradient.
    """
    at_least("the size of an ensemble", size, 1)

    def init(key: Key, obs: Any) -> Tree:
        return jax.vmap(network.init, (0, None))(jax.random.split(key, size), obs)

    def begin(n: int) -> Tree:
        return jax.tree.map(lambda x: jnp.repeat(x[:, None], size, 1), network.begin(n))

    def over(run: Callable[..., Any], axis: int, params: Tree, carry: Tree, obs: Any, first: Array, key: Any) -> Any:
        keys = [None] * size if key is None else list(jax.random.split(key, size))
        carries, outs = [], []
        for i in range(size):
            own, before = jax.tree.map(lambda x, i=i: x[i], params), jax.tree.map(lambda x, i=i: x[:, i], carry)
            after, out = run(own, before, obs, first, keys[i])
            carries.append(after)
            outs.append(out)
        return jax.tree.map(lambda *x: jnp.stack(x, axis), *carries), jax.tree.map(lambda *x: jnp.stack(x), *outs)

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        return over(network.step, 1, params, carry, obs, first, key)

    def unroll(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Any]:
        return over(network.unroll, 2, params, carry, obs, first, key)

    return Network(init, begin, step, unroll)


def evaluate(network: Network, params: Tree, obs: Any, num_rows: int) -> Any:
    """out of a network without memory for obs [B, ...]."""
    return network.step(params, (), obs, jnp.zeros(num_rows, bool))[1]
