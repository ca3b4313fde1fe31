"""Small functions over pytrees, and spaces: what is drawn lies inside, what lies outside is told apart."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl import spaces, trees
from jaxrl.agents.ppo import Config
from jaxrl.spaces import Box, Discrete, MultiDiscrete

EXAMPLES = {
    "discrete": Discrete(5),
    "discrete, uint8": Discrete(200, np.uint8),
    "multi-discrete": MultiDiscrete((3, 1, 4)),
    "box": Box(-2.0, 3.0, (2, 3)),
    "box of its own bounds": Box((0.0, -1.0), (1.0, 5.0), (2,)),
    "unbounded box": Box(-np.inf, np.inf, (3,)),
    "half-bounded box": Box((0.0, -np.inf), (np.inf, 0.0), (2,)),
    "pixels": Box(0, 255, (2, 2), np.uint8),
    "nested": {"move": Discrete(3), "aim": (Box(-1.0, 1.0, (2,)), MultiDiscrete((2, 2)))},
}
every = pytest.mark.parametrize("name", EXAMPLES)


@every
def test_samples_lie_inside(name):
    """Of 500 draws each is contained, has the declared dtype, and survives clipping; draws differ."""
    space = EXAMPLES[name]
    drawn = jax.vmap(lambda key: spaces.sample(space, key))(jax.random.split(jax.random.key(0), 500))
    assert bool(jax.vmap(lambda value: spaces.contains(space, value))(drawn).all())
    contracts.assert_equal(spaces.clip(space, drawn), drawn)
    parts = jax.tree.leaves(space, is_leaf=spaces.is_space)
    for leaf, part in zip(jax.tree.leaves(drawn), parts, strict=True):
        assert leaf.dtype == part.dtype and leaf.shape == (500, *part.shape)
        assert len(np.unique(leaf)) > 1 or getattr(part, "sizes", ()) == (1,)
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), space, is_leaf=spaces.is_space)
    assert jax.tree.map(lambda x: (x.shape[1:], x.dtype), drawn) == jax.tree.map(lambda x: (x.shape, x.dtype), zero)
    contracts.checks_keys(lambda key: spaces.sample(space, key), jax.random.key(0))


def test_every_integer_is_drawn():
    """Both ends of a discrete space and of a box of integers, with about the same frequency."""
    keys = jax.random.split(jax.random.key(0), 6000)
    for space, n in ((Discrete(3), 3), (Box(0, 2, (), np.uint8), 3), (MultiDiscrete((3,)), 3)):
        counts = np.bincount(np.asarray(jax.vmap(space.sample)(keys)).ravel(), minlength=n)
        assert len(counts) == n and np.abs(counts - 6000 / n).max() < 5 * np.sqrt(6000 * 2 / 9)


@pytest.mark.parametrize(
    ("space", "outside"),
    [
        (Discrete(5), [jnp.int32(5), jnp.int32(-1), jnp.float32(1.0), jnp.zeros(1, jnp.int32)]),
        (MultiDiscrete((3, 2)), [jnp.array([3, 0]), jnp.array([0, -1]), jnp.array([0.0, 0.0]), jnp.array([0])]),
        (Box(-1.0, 1.0, (2,)), [jnp.array([0.0, 1.1]), jnp.array([jnp.nan, 0]), jnp.zeros(3), jnp.zeros(2, jnp.int32)]),
        (Box(0, 255, (1,), np.uint8), [jnp.array([256]), jnp.array([-1]), jnp.array([0.5])]),
        ((Discrete(2), Box(0.0, 1.0, ())), [(jnp.int32(2), jnp.float32(0)), (jnp.int32(1), jnp.float32(2))]),
    ],
)
def test_what_lies_outside_is_told(space, outside):
    """A value beyond the bounds, of another kind, of another shape, or no number at all."""
    assert [bool(spaces.contains(space, value)) for value in outside] == [False] * len(outside)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=3, max_size=3))
def test_clipping_brings_inside(values):
    """What is clipped lies inside; what lay inside stays."""
    space = Box((-1.0, 0.0, -5.0), (1.0, 0.5, np.inf), (3,))
    value = jnp.asarray(values, jnp.float32)
    clipped = spaces.clip(space, value)
    assert bool(space.contains(clipped))
    assert not bool(space.contains(value)) or np.array_equal(clipped, value)


def test_spaces_are_values():
    """Equal descriptions are equal and hash alike, so that they may be closed over and compared."""
    assert Box((0.0, 1.0), 2.0, (2,)) == Box((0.0, 1.0), 2.0, (2,)) != Box(0.0, 2.0, (2,))
    assert len({Discrete(3), Discrete(3), Discrete(4), MultiDiscrete((3,))}) == 3
    assert Box(0.0, 1.0, (2,)).bounded and not Box((0.0, 0.0), (1.0, np.inf), (2,)).bounded


TREE = {
    "a": jnp.arange(12.0).reshape(2, 3, 2),
    "b": (jnp.ones((2, 3), bool), jnp.arange(6, dtype=jnp.uint8).reshape(2, 3)),
    "c": jnp.full((2, 3, 2, 2), -1.0),
    "empty": jnp.zeros((2, 3, 0)),
}


def test_packing_loses_nothing():
    """One array per dtype, from which everything comes back, also after a gather along the batch."""
    pack, unpack = trees.packer(TREE, 2)
    packed = pack(TREE)
    assert sorted(str(x.dtype) for x in packed) == ["bool", "float32", "uint8"]
    assert all(x.shape[:2] == (2, 3) for x in packed)
    contracts.assert_equal(unpack(packed), TREE)
    rows = jnp.array([2, 0, 2, 1])
    contracts.assert_equal(unpack([x[:, rows] for x in packed]), jax.tree.map(lambda x: x[:, rows], TREE))
    contracts.assert_equal(unpack([x[0] for x in packed]), jax.tree.map(lambda x: x[0], TREE))


def test_rows_are_chosen():
    """A flag per row picks whole rows, whatever their shape, and never mixes in what it did not pick."""
    rows = jnp.array([[True, False, True], [False, False, True]])
    other = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.dtype == jnp.float32 else ~x, TREE)
    chosen = trees.where(rows, TREE, other)
    for picked, yes, no in zip(*(contracts.plain(tree) for tree in (chosen, TREE, other)), strict=True):
        np.testing.assert_array_equal(picked[np.asarray(rows)], yes[np.asarray(rows)])
        np.testing.assert_array_equal(picked[~np.asarray(rows)], no[~np.asarray(rows)])


def test_counters_stop_at_their_largest_value():
    highest = 2**31 - 1
    for start, amount, end in (
        (0, 3, 3),
        (highest - 5, 5, highest),
        (highest - 5, 6, highest),
        (highest, 2**30, highest),
    ):
        counted = trees.count_up(jnp.int32(start), amount)
        assert int(counted) == end and counted.dtype == jnp.int32
    assert int(trees.count_up(jnp.int32(highest - 5), jnp.int32(10))) == highest


def test_hyper_parameters_become_arrays():
    """Fields that are floats are traced, whatever number stands there; the others shape the program."""
    traced = trees.traced(Config(num_epochs=3, learning_rate=1))
    assert traced.learning_rate.dtype == jnp.float32 and traced.total_updates == jnp.inf
    assert traced.num_epochs == () and traced.normalise_rewards == ()
