"""Action and observation spaces: frozen descriptions, nested in any pytree (a dict of spaces is a dict space)."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Key, Tree


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 .. n - 1."""

    n: int
    dtype: Any = np.int32

    shape = ()

    def sample(self, key: Key) -> Array:
        return jax.random.randint(key, (), 0, self.n, self.dtype)

    def contains(self, value: Array) -> Array:
        """bool []: value has this space's shape and kind, and lies inside."""
        value = jnp.asarray(value)
        fits = value.shape == () and jnp.issubdtype(value.dtype, jnp.integer)
        return jnp.logical_and(fits, (value >= 0) & (value < self.n)) if fits else jnp.asarray(False)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """A vector of integers; entry i is one of 0 .. sizes[i] - 1."""

    sizes: tuple[int, ...]
    dtype: Any = np.int32

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.sizes),)

    def sample(self, key: Key) -> Array:
        return jax.random.randint(key, self.shape, 0, np.asarray(self.sizes), self.dtype)

    def contains(self, value: Array) -> Array:
        value = jnp.asarray(value)
        if value.shape != self.shape or not jnp.issubdtype(value.dtype, jnp.integer):
            return jnp.asarray(False)
        return jnp.all((value >= 0) & (value < np.asarray(self.sizes)))


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of a shape between two bounds (numbers, or nested tuples of the shape; infinite where there is none)."""

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any = np.float32

    @property
    def bounded(self) -> bool:
        return bool(np.all(np.isfinite(self.low)) and np.all(np.isfinite(self.high)))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds as arrays of the space's shape and dtype."""
        full = [np.broadcast_to(np.asarray(bound, self.dtype), self.shape) for bound in (self.low, self.high)]
        return full[0], full[1]

    def sample(self, key: Key) -> Array:
        """A uniform draw; a standard normal one in an unbounded space."""
        low, high = self.bounds()
        if not self.bounded:
            return jnp.clip(jax.random.normal(key, self.shape), low, high).astype(self.dtype)
        if np.issubdtype(self.dtype, np.integer):
            return jax.random.randint(key, self.shape, low.astype(int), high.astype(int) + 1).astype(self.dtype)
        return jax.random.uniform(key, self.shape, self.dtype, low, high)

    def contains(self, value: Array) -> Array:
        value = jnp.asarray(value)
        low, high = self.bounds()
        if value.shape != self.shape or jnp.issubdtype(value.dtype, jnp.floating) != np.issubdtype(self.dtype, np.floating):
            return jnp.asarray(False)
        return jnp.all((value >= low) & (value <= high))


Space = Discrete | MultiDiscrete | Box


def is_space(value: Any) -> bool:
    return isinstance(value, Space)


def sample(space: Tree, key: Key) -> Tree:
    """One element of a (nested) space."""
    leaves, structure = jax.tree.flatten(space, is_leaf=is_space)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([leaf.sample(k) for leaf, k in zip(leaves, keys, strict=True)])


def contains(space: Tree, value: Tree) -> Array:
    """bool []: every leaf of value lies in its space."""
    inside = jax.tree.map(lambda leaf, v: leaf.contains(v), space, value, is_leaf=is_space)
    return jnp.all(jnp.stack(jax.tree.leaves(inside)))


def clip(space: Tree, value: Tree) -> Tree:
    """Bring continuous leaves [..., *shape] to their bounds; the others pass."""

    def clip_leaf(leaf: Space, v: Array) -> Array:
        return jnp.clip(v, *leaf.bounds()) if isinstance(leaf, Box) else v

    return jax.tree.map(clip_leaf, space, value, is_leaf=is_space)


def size(space: Tree) -> int:
    """How many numbers the flattened, one-hot encoded element has."""

    def leaf_size(leaf: Space) -> int:
        match leaf:
            case Discrete():
                return leaf.n
            case MultiDiscrete():
                return sum(leaf.sizes)
        return math.prod(leaf.shape)

    return sum(leaf_size(leaf) for leaf in jax.tree.leaves(space, is_leaf=is_space))


def zeros(space: Tree) -> Tree:
    """An array of zeros of every leaf's shape and dtype."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), space, is_leaf=is_space)
