"""Action and observation spaces: frozen descriptions, nested in any pytree (a dict of spaces is a dict space)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError
from jaxrl.types import Array, Key, Tree


class _Bounded:
    """What all kinds of space share: a shape, a dtype, and bounds that no element leaves."""

    low: Any
    high: Any
    shape: Any
    dtype: Any

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds as arrays of the space's shape and dtype."""
        full = [np.broadcast_to(np.asarray(bound, self.dtype), self.shape) for bound in (self.low, self.high)]
        return full[0], full[1]

    def contains(self, value: Array) -> Array:
        """bool []: value has this space's shape and kind of number, and lies inside."""
        value, (low, high) = jnp.asarray(value), self.bounds()
        alike = [jnp.issubdtype(value.dtype, k) == np.issubdtype(self.dtype, k) for k in (np.floating, np.integer)]
        fits = value.shape == self.shape and all(alike)
        return jnp.all((value >= low) & (value <= high)) if fits else jnp.asarray(False)


@dataclasses.dataclass(frozen=True)
class Discrete(_Bounded):
    """The integers 0 .. n - 1."""

    n: int
    dtype: Any = np.int32

    shape, low, high = (), 0, property(lambda self: self.n - 1)

    def sample(self, key: Key) -> Array:
        return jax.random.randint(key, (), 0, self.n, self.dtype)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete(_Bounded):
    """A vector of integers; entry i is one of 0 .. sizes[i] - 1."""

    sizes: tuple[int, ...]
    dtype: Any = np.int32

    low, high = 0, property(lambda self: np.asarray(self.sizes) - 1)
    shape = property(lambda self: (len(self.sizes),))

    def sample(self, key: Key) -> Array:
        return jax.random.randint(key, self.shape, 0, np.asarray(self.sizes), self.dtype)


@dataclasses.dataclass(frozen=True)
class Box(_Bounded):
    """Arrays of a shape between two bounds (numbers, or nested tuples of the shape; infinite where there is none)."""

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any = np.float32

    @property
    def bounded(self) -> bool:
        return bool(np.all(np.isfinite(self.low)) and np.all(np.isfinite(self.high)))

    def sample(self, key: Key) -> Array:
        """A uniform draw; a standard normal one in an unbounded space."""
        low, high = self.bounds()
        if not self.bounded:
            return jnp.clip(jax.random.normal(key, self.shape), low, high).astype(self.dtype)
        if np.issubdtype(self.dtype, np.integer):
            return jax.random.randint(key, self.shape, low.astype(int), high.astype(int) + 1).astype(self.dtype)
        return jax.random.uniform(key, self.shape, self.dtype, low, high)


Space = Discrete | MultiDiscrete | Box


def is_space(value: Any) -> bool:
    return isinstance(value, Space)


def sample(space: Tree, key: Key) -> Tree:
    """One element of a (nested) space."""
    leaves, structure = jax.tree.flatten(space, is_leaf=is_space)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [leaf.sample(k) for leaf, k in zip(leaves, keys, strict=True)])


def contains(space: Tree, value: Tree) -> Array:
    """bool []: every leaf of value lies in its space."""
    inside = jax.tree.map(lambda leaf, v: leaf.contains(v), space, value, is_leaf=is_space)
    return jnp.all(jnp.stack(jax.tree.leaves(inside)))


def none_legal(space: Tree, legal: Array) -> Array:
    """bool [...]: the mask legal [..., n] forbids every action of a discrete space, or of a part of a MultiDiscrete."""
    return ~jnp.stack([part.any(-1) for part in split(space, legal)]).all(0)


def split(space: Tree, values: Array) -> list[Array]:
    """Masks or logits [..., n_i] of the parts of a MultiDiscrete action, which lie side by side; or the only one."""
    return jnp.split(values, _cuts(space), axis=-1)


def _cuts(space: Tree) -> Any:
    """Where the mask of one part of the actions ends and that of the next begins."""
    return np.cumsum(space.sizes)[:-1] if isinstance(space, MultiDiscrete) else []


def refuse_none_legal(space: Any, legal: Array | None) -> None:
    """Raise where a mask [..., n] that is known, which it is not while a program is traced, has no legal action."""
    if legal is None or isinstance(legal, jax.core.Tracer):
        return
    parts = np.split(np.asarray(legal), _cuts(space), axis=-1)  # numpy: a known mask may stand in a traced program
    nowhere = np.argwhere(~np.stack([part.any(-1) for part in parts]).all(0))
    if len(nowhere):
        raise UsageError(
            f"legal has no legal action in row {nowhere[0].tolist()}: expected at least one wherever play goes"
            " on; correct the legal_actions of the environment"
        )


def clip(space: Tree, value: Tree) -> Tree:
    """Bring continuous leaves [..., *shape] to their bounds; the others pass."""

    def clip_leaf(leaf: Space, v: Array) -> Array:
        return jnp.clip(v, *leaf.bounds()) if isinstance(leaf, Box) else v

    return jax.tree.map(clip_leaf, space, value, is_leaf=is_space)
