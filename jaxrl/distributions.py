"""Action distributions over distrax, which is imported in this file only, and only when a distribution is made.

`head(action_space)` says how many outputs a policy network needs and turns them into a distribution. Every one of them
answers `sample(seed=key)`, `log_prob(action)`, `sample_and_log_prob(seed=key)` and `mode()`; all but the squashed one
also `entropy()` and `kl_divergence(other)`. Axes of the event are summed over, so that log-probabilities are [...].
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.types import Array, Key

_FEW = 8  # actions


class Head(NamedTuple):
    num_outputs: int  # what a network computes per row
    num_free: int  # outputs behind those, which do not depend on the row (a log standard deviation)
    distribution: Callable[..., Any]  # (outputs [..., num_outputs + num_free], legal=None) -> distribution over actions


def head(action_space: spaces.Space) -> Head:
    """The usual head: categorical for Discrete, one categorical per entry for MultiDiscrete, Gaussian for a Box.

    `legal` is bool [..., num_outputs]; one without a legal action, for an entry, is refused where the mask is known,
    and inside of a compiled program leaves all actions alike. A Gaussian takes its mean and deviation in units of the
    bounds (mean 0 is the middle, 1 the upper bound; plain units where a bound is infinite). Its log deviations are the
    free outputs, and a sample may lie outside the bounds. Noise in units of the deviation may stand behind the outputs
    of both Gaussian heads: every sample is then made of it (see `network_transforms.with_held_noise`).
    """
    _distrax("Categorical")  # its import takes a third of a second, which should not count as compilation
    match action_space:
        case spaces.Discrete(n=n):
            return _discrete_head(action_space, n, _categorical)
        case spaces.MultiDiscrete(sizes=sizes):
            return _discrete_head(action_space, sum(sizes), _categoricals)
    low, high, _ = _bounds(action_space)
    middle, half_range = (low + high) / 2, (high - low) / 2

    def normal(mean: Array, log_std: Array, noise: Array | None = None) -> Any:
        mean, log_std = middle + half_range * mean, log_std + np.log(half_range)
        if noise is None:
            return _distrax("LogStddevNormal")(mean, log_std)
        return _distrax("LogStddevNormal", _HeldNormal)(mean, log_std, noise)

    return _gaussian_head(action_space, math.prod(action_space.shape), normal)


def squashed_head(action_space: spaces.Space, min_log_std: float = -20.0, max_log_std: float = 2.0) -> Head:
    """The tanh-Gaussian over a bounded box: outputs [..., 2 d] are mean and log deviation (Haarnoja et al. 2018).

    Its `mode()` is the squashed mean, and `sample_and_log_prob` is exact also where tanh saturates.
    """
    low, high, given = _bounds(action_space)
    if not given.all():
        raise UsageError(f"a squashed policy needs finite bounds, low < high, for every action, but got {action_space}")

    def squashed(mean: Array, log_std: Array, noise: Array | None = None) -> Any:
        log_std = jnp.clip(log_std, min_log_std, max_log_std)
        return _distrax("Distribution", _SquashedNormal)(mean, log_std, low, high, noise)

    return _gaussian_head(action_space, 0, squashed)


def masked(values: Array, legal: Array | None) -> Array:
    """values [..., n] with illegal entries so low that softmax gives them exactly 0; finite, so never NaN."""
    return values if legal is None else jnp.where(legal, values, _lowest(values))


def epsilon_greedy(key: Key, values: Array, epsilon: Array | float, legal: Array | None = None) -> Array:
    """Actions [...] of values [..., n]: the best (the first of equals), with probability epsilon any legal one."""
    spaces.refuse_none_legal(spaces.Discrete(values.shape[-1]), legal)
    legal = jnp.ones_like(values, bool) if legal is None else legal
    explore, rank = jax.random.uniform(key, (2, *values.shape[:-1]))
    greedy = jnp.argmax(jnp.where(legal, jnp.maximum(values, _lowest(values)), -jnp.inf), axis=-1)
    return jnp.where(explore < epsilon, nth_legal(rank, legal), greedy)


def nth_legal(rank: Array, legal: Array) -> Array:
    """The legal action [...] that a rank [...] in [0, 1) stands for, by their order in legal, bool [..., n]."""
    num_before = jnp.cumsum(legal, axis=-1)  # of legal actions, up to and with each
    nth = jnp.floor(rank * num_before[..., -1]).astype(num_before.dtype)
    return jnp.argmax(num_before > nth[..., None], axis=-1)


def _lowest(values: Array) -> float:
    return float(jnp.finfo(values.dtype).min) / 2  # half, so that adding a finite number cannot overflow


def _bounds(space: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(low, high, given): -1 and 1 where the two bounds are not given, that is finite with something in between."""
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise UsageError(
            f"a policy needs an action space that is Discrete, MultiDiscrete or a Box of floats, got {space}"
        )
    low, high = space.bounds()
    given = np.isfinite(low) & np.isfinite(high) & (low < high)
    return np.where(given, low, -1), np.where(given, high, 1), given


def _gaussian_head(space: Any, num_free: int, elementwise: Callable[..., Any]) -> Head:
    """Outputs [..., 2 d or 3 d] -> mean, log deviation, noise [..., *shape] -> `elementwise` of them, as one event."""
    size = math.prod(space.shape)

    def distribution(outputs: Array, legal: None = None) -> Any:
        parts = jnp.split(outputs, outputs.shape[-1] // size, axis=-1)
        parameters = (x.reshape(*x.shape[:-1], *space.shape) for x in parts)
        return _distrax("Independent")(elementwise(*parameters), len(space.shape))

    return Head(2 * size - num_free, num_free, distribution)


def _discrete_head(space: Any, num_outputs: int, kind: Callable[[Array, Any], Any]) -> Head:
    def distribution(outputs: Array, legal: Array | None = None) -> Any:
        spaces.refuse_none_legal(space, legal)
        return kind(masked(outputs, legal), space)

    return Head(num_outputs, 0, distribution)


def _categorical(logits: Array, space: Any) -> Any:
    return _distrax("Categorical", _Categorical)(logits=logits, dtype=space.dtype)


def _categoricals(logits: Array, space: Any) -> Any:
    """Categoricals [..., k] of k sizes in one: the shorter ones are filled up with what is never drawn."""
    parts = spaces.split(space, logits)
    fill = [[(0, 0)] * (logits.ndim - 1) + [(0, max(space.sizes) - n)] for n in space.sizes]
    rows = [jnp.pad(x, pad, constant_values=_lowest(x)) for x, pad in zip(parts, fill, strict=True)]
    return _distrax("Independent")(_categorical(jnp.stack(rows, axis=-2), space), 1)


@functools.cache
def _distrax(name: str, methods: type | None = None) -> Any:
    """The class of distrax, or one of our own: `methods` on top of it."""
    import distrax

    base = getattr(distrax, name)
    return type(methods.__name__[1:], (methods, base), {}) if methods else base


class _Categorical:
    """distrax's, in fewer operations: no test of the probabilities, no one-hot vectors, and one uniform draw a row."""

    logits: Array  # [..., n] normalised

    def __init__(self, logits: Array, dtype: Any) -> None:
        logits = logits - jax.lax.stop_gradient(_over(jnp.maximum, logits))[..., None]
        normalised = logits - jnp.log(_over(jnp.add, jnp.exp(logits)))[..., None]
        super().__init__(logits=normalised, dtype=dtype)  # type: ignore[call-arg]
        self._logits = normalised  # not once more, as distrax does

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.logits.shape[:-1]

    def _sample_n(self, key: Key, n: int) -> Array:
        """How many of p_0, p_0 + p_1, ... a uniform draw has passed, which is never an i with p_i = 0: -> [n, ...]."""
        reached = _cumulative(jnp.exp(self.logits))
        draw = jax.random.uniform(key, (n, *self.batch_shape), reached.dtype) * reached[..., -1]
        passed = (draw[..., None] >= reached[..., :-1]).astype(self._dtype)  # type: ignore[attr-defined]
        return _over(jnp.add, passed)

    def log_prob(self, value: Array) -> Array:
        chosen = jnp.arange(self.logits.shape[-1]) == jnp.asarray(value)[..., None]
        return _over(jnp.add, jnp.where(chosen, self.logits, 0))

    def entropy(self) -> Array:
        return -_over(jnp.add, jnp.exp(self.logits) * self.logits)


def _over(combine: Any, x: Array) -> Array:
    """x [..., n] -> [...]: all actions combined.

    A few are combined one by one, because that fuses with what is around it: on a CPU a reduction of two numbers a row
    costs as much as a layer of a network.
    """
    if not 1 <= x.shape[-1] <= _FEW:
        return combine.reduce(x, axis=-1)
    return functools.reduce(combine, [x[..., i] for i in range(x.shape[-1])])


def _cumulative(probabilities: Array) -> Array:
    """Running sums [..., n] that never fall, and stay exactly equal over a probability of 0."""
    if probabilities.shape[-1] <= _FEW:
        parts = (probabilities[..., i] for i in range(probabilities.shape[-1]))
        return jnp.stack(list(itertools.accumulate(parts)), axis=-1)
    sums = jnp.where(probabilities > 0, jnp.cumsum(probabilities, axis=-1), 0)  # in any order, so rounded anyhow
    return jax.lax.cummax(sums, axis=sums.ndim - 1)


class _HeldNormal:
    """distrax's, of which every sample is the mean and a given multiple of the deviation."""

    loc: Array
    scale: Array

    def __init__(self, loc: Array, log_scale: Array, noise: Array) -> None:
        super().__init__(loc, log_scale)  # type: ignore[call-arg]
        self._noise = noise

    def _sample_n(self, key: Key, n: int) -> Array:
        return jnp.broadcast_to(self.loc + self.scale * self._noise, (n, *self.loc.shape))

    def _sample_n_and_log_prob(self, key: Key, n: int) -> tuple[Array, Array]:
        sample = self._sample_n(key, n)
        return sample, self.log_prob(sample)  # type: ignore[attr-defined]


class _SquashedNormal:
    """low + (high - low) (1 + tanh(u)) / 2 with u ~ N(mean, exp(log_std)^2), elementwise."""

    event_shape = ()

    def __init__(
        self, mean: Array, log_std: Array, low: np.ndarray, high: np.ndarray, noise: Array | None = None
    ) -> None:
        self._mean, self._log_std, self._low, self._high, self._noise = mean, log_std, low, high, noise

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self._mean.shape

    def _squash(self, u: Array) -> Array:
        middle, half_range = (self._low + self._high) / 2, (self._high - self._low) / 2
        return jnp.clip(middle + half_range * jnp.tanh(u), self._low, self._high)

    def _log_density(self, u: Array, standard: Array) -> Array:
        """log N(u) - log |d action / d u|, where 1 - tanh(u)^2 is 4 / (e^u + e^-u)^2, taken in logs."""
        normal = -0.5 * standard**2 - self._log_std - 0.5 * math.log(2 * math.pi)
        slope = 2 * (math.log(2) - u - jax.nn.softplus(-2 * u)) + np.log((self._high - self._low) / 2)
        return normal - slope

    def _sample_n(self, key: Key, n: int) -> Array:
        return self._sample_n_and_log_prob(key, n)[0]

    def _sample_n_and_log_prob(self, key: Key, n: int) -> tuple[Array, Array]:
        shape = (n, *self._mean.shape)
        noise = jax.random.normal(key, shape, self._mean.dtype) if self._noise is None else self._noise
        standard = jnp.broadcast_to(noise, shape)
        u = self._mean + jnp.exp(self._log_std) * standard
        return self._squash(u), self._log_density(u, standard)

    def log_prob(self, value: Array) -> Array:
        """Of a given action, which is taken to lie one rounding inside the bounds."""
        tanh = (2 * value - self._low - self._high) / (self._high - self._low)
        limit = 1 - float(jnp.finfo(self._mean.dtype).eps)
        u = jnp.arctanh(jnp.clip(tanh, -limit, limit))
        return self._log_density(u, (u - self._mean) * jnp.exp(-self._log_std))

    def mode(self) -> Array:
        return self._squash(self._mean)
