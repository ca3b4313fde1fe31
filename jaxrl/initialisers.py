"""Orthogonal kernels, drawn by products alone."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Key


def orthogonal(scale: float = 1.0) -> Callable[..., Array]:
    """An initialiser (key, shape [..., n, m], dtype) of orthogonal rows or columns, times scale (Saxe et al. 2014)."""

    def init(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        matrix = (math.prod(shape[:-1]), shape[-1])
        return orthogonal_kernels(key, [(*matrix, scale)])[0].reshape(shape).astype(dtype)

    return init


def orthogonal_kernels(key: Key, shapes: Sequence[tuple[int, int, float]]) -> list[Array]:
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
