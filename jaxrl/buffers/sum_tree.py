"""Sums of non-negative numbers in a tree, to draw a leaf in proportion to its number in O(log C).

Each node has 16 children: with fewer there are more levels to walk through, with more a level takes longer. A parent is
always computed anew from its children, so that no error adds up and an index may be written twice.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.buffers.packing import once
from jaxrl.types import Array, Key

CHILDREN = 16
COARSEST = 2.0**-24  # of a uniform float32
NOWHERE = 2**30  # a leaf that is beyond the end of every level, as its parents are
Tree = list[Array]  # float32: the leaves, padded to whole nodes, and above them level by level up to one node


def init(capacity: int) -> Tree:
    """All of C leaves at 0."""
    levels: Tree = []
    count = capacity
    while count > 1 or not levels:
        nodes = -(-count // CHILDREN)
        levels.append(jnp.zeros(nodes * CHILDREN))
        count = nodes
    return levels


def num_bytes(capacity: int) -> int:
    return sum(4 * level.size for level in jax.eval_shape(lambda: init(capacity)))


def total(tree: Tree) -> Array:
    """The sum [] of all leaves."""
    return tree[-1].sum()


def write(tree: Tree, leaves: Array, numbers: Array) -> Tree:
    """The tree with numbers [B] at leaves [B]; of several numbers for one leaf one is kept, leaf -1 is passed over."""
    written, leaves = [], jnp.where(leaves < 0, NOWHERE, leaves)
    for level in tree:
        written.append(level.at[leaves].set(numbers, mode="drop", wrap_negative_indices=False))
        leaves = once(leaves // CHILDREN)
        numbers = _children(written[-1], leaves).sum(-1)
    return written


def write_range(tree: Tree, start: Array, numbers: Array) -> Tree:
    """The tree with numbers [M] at the leaves from start on, which must all be there."""
    written = []
    for level in tree:
        written.append(jax.lax.dynamic_update_slice_in_dim(level, numbers, start, 0))
        nodes = level.size // CHILDREN
        count = min((numbers.size + CHILDREN - 2) // CHILDREN + 1, nodes)
        start = jnp.minimum(start // CHILDREN, nodes - count)
        of_parents = jax.lax.dynamic_slice_in_dim(written[-1], start * CHILDREN, count * CHILDREN)
        numbers = of_parents.reshape(count, CHILDREN).sum(-1)
    return written


def before(tree: Tree, leaves: Array) -> Array:
    """The sums [B] of all leaves before these leaves [B]."""
    sums = jnp.zeros(leaves.shape)
    for level in tree:
        is_before = jnp.arange(CHILDREN) < (leaves % CHILDREN)[:, None]
        leaves = leaves // CHILDREN
        sums = sums + jnp.where(is_before, _children(level, leaves), 0).sum(-1)
    return sums


def find(tree: Tree, places: Array, dither: Array) -> tuple[Array, Array]:
    """The leaves [B] that cover places [B] in [0, total), and their numbers [B]. No leaf at 0 is found.

    A place is a float32, too coarse to tell small leaves apart among a million; halfway down, where what is left of it
    is finer, the dither [B] in [0, total / 2^24) fills in what was rounded away.
    """
    up_to = jnp.asarray(np.tril(np.ones((CHILDREN, CHILDREN), np.float32)))
    nodes = jnp.zeros(places.shape, jnp.int32)
    for depth, level in enumerate(reversed(tree)):
        if depth == len(tree) // 2:
            places = places + dither
        children = _children(level, nodes).T  # [16, B]: sums over the long axis would be slow
        sums = jnp.dot(up_to, children, precision=jax.lax.Precision.HIGHEST)
        places = jnp.minimum(places, sums[-1] * (1 - 2.0**-23))  # where rounding led beyond the node
        passed = sums <= places
        child = jnp.minimum(passed.sum(0), CHILDREN - 1)
        places = places - jnp.where(passed, sums, 0).max(0)
        numbers = jnp.where(jnp.arange(CHILDREN)[:, None] == child, children, 0).sum(0)
        nodes = once(nodes * CHILDREN + child)
    return nodes, numbers


def draw(tree: Tree, key: Key, start: Array, mass: Array, count: int) -> tuple[Array, Array]:
    """(leaves [B], their numbers [B] > 0): one from each of B equal parts of a mass.

    The mass begins where the sum before a leaf is `start`, and goes on around the tree's end. Rounding may lead beyond
    an end of it, by a hair.
    """
    whole = total(tree)
    part, dither = jax.random.uniform(key, (2, count))
    places = start + (jnp.arange(count) + part) / count * mass
    places = jnp.where(places >= whole, places - whole, places)
    leaves, numbers = find(tree, places, dither * COARSEST * whole)
    return leaves, jnp.maximum(numbers, jnp.finfo(jnp.float32).tiny)


def powers(priorities: Array, exponent: float, floor: float, highest: Array) -> tuple[Array, Array]:
    """((|p| + floor)^exponent [B], the highest number so far, which also stands for what is not finite)."""
    numbers = jnp.exp(exponent * jnp.log(jnp.abs(priorities) + floor))
    numbers = jnp.where(jnp.isfinite(numbers), numbers, highest)
    return numbers, jnp.maximum(highest, numbers.max())


def _children(level: Array, nodes: Array) -> Array:
    """The numbers [B, 16] of the children of nodes [B]."""
    rows = level.reshape(-1, CHILDREN)
    return rows.at[nodes].get(mode="clip", wrap_negative_indices=False)
