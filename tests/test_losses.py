"""Losses on weighted samples against their definitions, and the gradient step against optax's own."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl import losses

VALUES = jnp.array([1.0, 4.0, -2.0, 7.0, jnp.nan])
WEIGHT = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])


def test_what_does_not_count_changes_nothing():
    """Neither in the mean nor in standardisation, even where it is NaN or infinite; nor in their gradients."""
    live = VALUES[:3]
    assert losses.mean(VALUES, WEIGHT) == live.mean()
    alone = losses.standardise(live, jnp.ones(3))
    np.testing.assert_allclose(losses.standardise(VALUES, WEIGHT)[:3], alone, rtol=1e-6)
    np.testing.assert_allclose(alone, (live - live.mean()) / live.std(), rtol=1e-5)
    for junk in (0.0, 1e9, jnp.inf, jnp.nan):
        changed = VALUES.at[3:].set(junk)
        assert losses.mean(changed, WEIGHT) == losses.mean(VALUES, WEIGHT)
        np.testing.assert_array_equal(losses.standardise(changed, WEIGHT)[:3], losses.standardise(VALUES, WEIGHT)[:3])
        np.testing.assert_allclose(jax.grad(losses.mean)(changed, WEIGHT), [1 / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-6)


def test_importance_weights_weigh():
    weight = jnp.array([2.0, 1.0, 1.0])
    np.testing.assert_allclose(losses.mean(jnp.array([1.0, 2.0, 4.0]), weight), 2.0)


def test_one_sample_or_none():
    """One sample standardises to 0, none has mean 0; both stay finite."""
    assert losses.standardise(jnp.array([3.0]), jnp.ones(1)) == 0
    assert losses.standardise(jnp.array([3.0, 9.0]), jnp.array([1.0, 0.0]))[0] == 0
    assert losses.mean(VALUES, jnp.zeros(5)) == 0
    assert np.isfinite(losses.standardise(jnp.full(4, 2.5), jnp.ones(4))).all()


def test_mismatched_shapes_are_refused():
    with pytest.raises(AssertionError):
        losses.mean(jnp.ones((3, 1)), jnp.ones(3))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.5, 2.0, -2.4, 0.0),
        (0.5, 2.0, -1.0, -2.0),
        (0.5, -2.0, 1.6, 0.0),
        (1.5, -2.0, 3.0, 2.0),
    ],
)
def test_the_surrogate_is_pessimistic(ratio, advantage, loss, slope):
    """Beyond the clip range there is nothing to gain, but everything to lose."""
    value, gradient = jax.value_and_grad(losses.clipped_surrogate)(ratio, advantage, 0.2)
    np.testing.assert_allclose((value, gradient), (loss, slope), rtol=1e-6)


@pytest.mark.parametrize(("value", "loss"), [(1.1, 0.405), (3.0, 0.5), (0.0, 2.0), (1.5, 0.5 * 0.8**2)])
def test_the_value_loss_is_pessimistic(value, loss):
    """With old value 1, target 2 and range 0.2 the larger of the two squared errors counts."""
    np.testing.assert_allclose(losses.clipped_value(value, 1.0, 2.0, 0.2), loss, rtol=1e-6)
    np.testing.assert_allclose(losses.clipped_value(value, 1.0, 2.0, jnp.inf), 0.5 * (value - 2) ** 2, rtol=1e-6)


def test_huber_is_optax_own():
    error = jnp.linspace(-5, 5, 40)
    for threshold in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(
            losses.huber(error, threshold), optax.losses.huber_loss(error, delta=threshold), rtol=1e-5
        )
    np.testing.assert_allclose(losses.huber(error, jnp.inf), 0.5 * error**2, rtol=1e-6)
    gradient = jax.vmap(jax.grad(losses.huber), (0, None))(error, 1.0)
    np.testing.assert_allclose(gradient, np.clip(error, -1, 1), rtol=1e-6)
    assert np.isfinite(jax.vmap(jax.grad(losses.huber), (0, None))(error, jnp.inf)).all()


@pytest.mark.parametrize("max_norm", [0.3, 1e9, jnp.inf])
def test_a_gradient_step_is_optax_own(max_norm):
    """Clip by the global norm, Adam, minus the learning rate: five steps on a quadratic agree with optax's chain."""

    def loss(params):
        return sum(jnp.sum(jnp.arange(1, x.size + 1) * (x.ravel() - 1) ** 2) for x in jax.tree.leaves(params)), "aux"

    params = {"a": jnp.array([0.5, -2.0]), "b": jnp.ones((2, 3))}
    mine, direction = params, optax.scale_by_adam(eps=1e-5)
    state = direction.init(jax.flatten_util.ravel_pytree(params)[0])
    chain = optax.chain(optax.clip_by_global_norm(max_norm), optax.adam(0.1, eps=1e-5))
    chain_state = chain.init(params)
    for _ in range(5):
        mine, state, aux = losses.gradient_step(loss, mine, state, direction, jnp.float32(0.1), jnp.float32(max_norm))
        updates, chain_state = chain.update(jax.grad(lambda p: loss(p)[0])(params), chain_state)
        params = optax.apply_updates(params, updates)
        contracts.assert_close(mine, params, 1e-5)
    assert aux == "aux"
