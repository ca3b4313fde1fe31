"""Inlined keys draw the bits of JAX's own generator."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.keys import inline

DRAWS = {
    "split": lambda key: jax.random.key_data(jax.random.split(key, (3, 5))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 12345)),
    "uniform": lambda key: jax.random.uniform(key, (7, 3)),
    "normal": lambda key: jax.random.normal(key, (257,)),
    "bits of 8": lambda key: jax.random.bits(key, (33,), jnp.uint8),
    "bits of 16": lambda key: jax.random.bits(key, (33,), jnp.uint16),
    "randint": lambda key: jax.random.randint(key, (64,), -3, 1000),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (50,)),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(4.0), shape=(50,)),
    "scalar": lambda key: jax.random.uniform(key),
    "nothing": lambda key: jax.random.uniform(key, (0, 3)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_the_same_bits(name):
    draw, key = contracts.quick(DRAWS[name]), jax.random.key(42)
    contracts.assert_equal(draw(inline(key)), draw(key))
    keys = jax.random.split(key, 4)
    contracts.assert_equal(
        contracts.quick(jax.vmap(DRAWS[name]))(inline(keys)), contracts.quick(jax.vmap(DRAWS[name]))(keys)
    )


def test_sixty_four_bits():
    with jax.enable_x64(True):
        key = jax.random.key(1)
        for draw in (lambda k: jax.random.bits(k, (9,), jnp.uint64), lambda k: jax.random.normal(k, (9,), float)):
            contracts.assert_equal(draw(inline(key)), draw(key))


def test_only_threefry_is_inlined():
    """Inlining twice is inlining once, and another generator stays itself."""
    key = inline(jax.random.key(0))
    assert inline(key).dtype == key.dtype != jax.random.key(0).dtype
    other = jax.random.key(0, impl="rbg")
    assert inline(other).dtype == other.dtype
    np.testing.assert_array_equal(jax.random.key_data(key), jax.random.key_data(jax.random.key(0)))


def test_a_reused_inlined_key_is_found():
    def twice(key):
        key = inline(key)
        return jax.random.normal(key) + jax.random.uniform(key)

    with pytest.raises(Exception, match="[Kk]ey"):
        contracts.checks_keys(twice, jax.random.key(0))
