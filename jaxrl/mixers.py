"""How the values of a team's agents make one of the team: networks of (values [..., A], state [..., s]) -> [...]."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.errors import unknown
from jaxrl.types import Array, Network


class Monotonic(nn.Module):
    """QMIX's (Rashid et al. 2018): a network whose weights, made of the state, are never negative.

    q = |w2(s)| . elu(|W1(s)| values + b1(s)) + v(s): it rises with the value of every agent.
    """

    size: int

    @nn.compact
    def __call__(self, values: Array, state: Array) -> Array:
        num_agents = values.shape[-1]
        weights = jnp.abs(nn.Dense(num_agents * self.size)(state)).reshape(*values.shape, self.size)
        hidden = jax.nn.elu(jnp.sum(values[..., None] * weights, -2) + nn.Dense(self.size)(state))
        base = nn.Dense(1)(jax.nn.relu(nn.Dense(self.size)(state)))[..., 0]
        return jnp.sum(hidden * jnp.abs(nn.Dense(self.size)(state)), -1) + base


class Sum(nn.Module):
    """Value decomposition (Sunehag et al. 2018): the sum over the agents."""

    @nn.compact
    def __call__(self, values: Array, state: Array) -> Array:
        return jnp.sum(values, -1)


def mixer(name: str, size: int) -> Network:
    """The mixing network of a name; `size` is that of its hidden layer."""
    known: dict[str, nn.Module] = {"sum": Sum(), "monotonic": Monotonic(size)}
    if name not in known:
        raise unknown("mixing", name, known)
    module = known[name]

    def step(params: dict, carry: tuple, seen: tuple[Array, Array], first: Array, key: None = None) -> tuple:
        return carry, module.apply(params, *seen)

    return Network(lambda key, seen: module.init(key, *seen), lambda n: (), step, step)
