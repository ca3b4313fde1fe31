"""Auxiliary tasks (Jaderberg et al. 2017): what else the policy's last hidden layer z should tell, added to a loss.

reward          = cross-entropy of the sign of r_t                                 given z_t  (reward prediction)
reconstruction  = 1/2 mean_k (o_t,k - d_k(z_t))^2                                             (of the observation)
control         = 1/2 mean_k (G_t,k - Q_k(z_t, a_t))^2,   c_t,k = |o_{t+1},k - o_t,k|         (pixel, feature control)
                  G_t,k = c_t,k + discount G_{t+1},k, up to max_a Q_k(z, a) behind the rollout's or a cut episode's end

All predictions are linear in z and stand side by side behind the out of the network; k goes over the features of an
observation, or over the cells of a picture.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import returns, spaces
from jaxrl.errors import UsageError, unknown
from jaxrl.types import Array, Environment, Transition, Tree

_CELLS = 4  # along each side of a picture


class Task(NamedTuple):
    num_outputs: int  # m: predictions from one hidden layer
    targets: Callable[..., Tree]  # (steps, predictions, those at next_obs [T, N, m], discount) -> [T, N, ...]
    loss: Callable[..., Array]  # (predictions [..., m], action, targets) -> [...]


def reward(env: Environment) -> Task:
    """Which sign the reward of the next step has: -1, 0 or 1, where it is reached by the policy's own actions."""

    def targets(steps: Transition, predictions: Array, next_predictions: Array, discount: Array) -> Array:
        return jnp.sign(steps.reward).astype(jnp.int32) + 1

    def loss(predictions: Array, action: Tree, targets: Array) -> Array:
        return -jnp.sum(jax.nn.log_softmax(predictions) * jax.nn.one_hot(targets, 3), axis=-1)

    return Task(3, targets, loss)


def reconstruction(env: Environment) -> Task:
    """The observation itself, as the network reads it."""

    def targets(steps: Transition, predictions: Array, next_predictions: Array, discount: Array) -> Array:
        return _flat(steps.obs.features, steps.reward.ndim)

    def loss(predictions: Array, action: Tree, targets: Array) -> Array:
        return 0.5 * jnp.mean((predictions - targets) ** 2, axis=-1)

    return Task(_size(env), targets, loss)


def control(env: Environment) -> Task:
    """How much the policy can change each part of what it sees: action values [..., n, K]."""
    if not isinstance(env.action_space, spaces.Discrete):
        raise UsageError(f"auxiliary is control, which needs discrete actions, but the world has {env.action_space}")
    num_actions, picture = env.action_space.n, len(getattr(env.observation_space, "shape", ())) == 3
    num_parts = _CELLS**2 if picture else _size(env)

    def change(steps: Transition) -> Array:
        if not picture:
            return jnp.abs(_flat(steps.next_obs.features, 2) - _flat(steps.obs.features, 2))
        moved = jnp.abs(steps.next_obs.features.astype(jnp.float32) - steps.obs.features).mean(-1)
        rows, columns = (_pooling(size) for size in moved.shape[-2:])
        return jnp.einsum("ih,tnhw,jw->tnij", rows, moved, columns).reshape(*steps.reward.shape, num_parts)

    def targets(steps: Transition, predictions: Array, next_predictions: Array, discount: Array) -> Array:
        best = next_predictions.reshape(*steps.reward.shape, num_actions, num_parts).max(-2)
        ended = steps.terminated, steps.truncated
        each = jax.vmap(lambda c, v: returns.discounted_returns(c, v, *ended, discount, steps.valid), -1, -1)
        return each(change(steps), best)

    def loss(predictions: Array, action: Array, targets: Array) -> Array:
        values = predictions.reshape(*action.shape, num_actions, num_parts)
        chosen = jnp.sum(values * jax.nn.one_hot(action, num_actions)[..., None], axis=-2)
        return 0.5 * jnp.mean((chosen - targets) ** 2, axis=-1)

    return Task(num_actions * num_parts, targets, loss)


TASKS: dict[str, Callable[[Environment], Task]] = {
    "reward": reward, "reconstruction": reconstruction, "control": control,
}  # fmt: skip


def tasks(names: Sequence[str], env: Environment) -> Task:
    """All of these tasks as one, whose loss is their sum; of none, a task that predicts nothing."""
    for name in names:
        if name not in TASKS:
            raise unknown("auxiliary task", name, TASKS)
    parts = [TASKS[name](env) for name in names]
    ends = np.cumsum([part.num_outputs for part in parts])[:-1]

    def split(predictions: Array) -> list[Array]:
        return jnp.split(predictions, ends, axis=-1)

    def targets(steps: Transition, predictions: Array, next_predictions: Array, discount: Array) -> Tree:
        seen = zip(parts, split(predictions), split(next_predictions), strict=True)
        return [part.targets(steps, now, later, discount) for part, now, later in seen]

    def loss(predictions: Array, action: Tree, targets: Tree) -> Array:
        each = zip(parts, split(predictions), targets, strict=True)
        return sum((part.loss(now, action, wanted) for part, now, wanted in each), jnp.zeros(()))

    return Task(sum(part.num_outputs for part in parts), targets, loss)


def _size(env: Environment) -> int:
    leaves = jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)
    return sum(math.prod(leaf.shape) for leaf in leaves)


def _flat(features: Tree, batch_axes: int) -> Array:
    leaves = [x.reshape(*x.shape[:batch_axes], -1).astype(jnp.float32) for x in jax.tree.leaves(features)]
    return jnp.concatenate(leaves, axis=-1)


def _pooling(size: int) -> np.ndarray:
    """[cells, size]: what averages a side of a picture over each of its cells."""
    parts = np.array_split(np.arange(size), _CELLS)
    return np.stack([np.isin(np.arange(size), part) / max(len(part), 1) for part in parts]).astype(np.float32)
