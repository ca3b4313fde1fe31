"""Networks of action values: every combination of parts, what a dueling network's value is, what noise is."""

import functools
import itertools

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.networks import Settings
from jaxrl.types import Observation
from jaxrl.value_networks import AGGREGATIONS, ImplicitNetwork, QuantileNetwork, ValueNetwork, q_network

ROWS, SIZE, ACTIONS, K = 5, 3, 4, 6
MODULES = {"values": (ValueNetwork, 0), "atoms": (ValueNetwork, K), "quantiles": (QuantileNetwork, K),
           "implicit": (ImplicitNetwork, K)}  # fmt: skip
SETTINGS = {
    "linear": Settings(()),
    "one layer": Settings((8,)),
    "three layers": Settings((8, 7, 6), normalisation="layer"),
    "convolution": Settings((8,), channels=(2,)),
    "linear convolution": Settings((), channels=(2,)),
    "gru": Settings((8,), cell="gru", cell_size=4),
}


def observations(settings, rows=ROWS):
    shape = (4, 5, 2) if settings.channels else (SIZE,)
    return Observation(jax.random.normal(jax.random.key(0), (rows, *shape)))


def outputs(network, params, obs, key=None):
    """The out of `step` for obs [N, ...]."""
    rows = obs.features.shape[0]
    return network.step(params, network.begin(rows), obs, jnp.zeros(rows, bool), key)[1]


def outputs_together(network, params, obs, key=None):
    """The out of `unroll` for obs [N, ...], as one step of all rows."""
    rows = obs.features.shape[0]
    later, first = jax.tree.map(lambda x: x[None], obs), jnp.zeros((1, rows), bool)
    return jax.tree.map(lambda x: x[0], network.unroll(params, network.begin(rows), later, first, key)[1])


@functools.cache
def made(kind, dueling=None, deviation=None, settings=Settings((8, 8)), streams=False):
    """(network, params); with `streams`, the out of a dueling network is what is aggregated: (value, advantage)."""
    module, num_estimates = MODULES[kind]
    aggregate = (lambda value, advantage, axis: (value, advantage)) if streams else AGGREGATIONS.get(dueling)
    network = q_network(settings, ACTIONS, num_estimates, aggregate, deviation, module)
    return network, contracts.quick(network.init)(jax.random.key(1), observations(settings))


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_parts_combine(settings):
    """Module, dueling and noise, with any network behind them; and no key is used twice."""
    obs, key = observations(SETTINGS[settings]), jax.random.key(2)
    for (module, num_estimates), dueling, deviation in itertools.product(MODULES.values(), (None, "max"), (None, 0.5)):
        network = q_network(
            SETTINGS[settings], ACTIONS, num_estimates, AGGREGATIONS.get(dueling), deviation, module
        )  # fmt: skip
        params = jax.eval_shape(network.init, jax.random.key(1), obs)
        look = functools.partial(outputs if dueling else outputs_together, network)
        out = jax.eval_shape(look, params, obs, key)
        values, fractions = out if isinstance(out, tuple) else (out, None)
        assert values.shape == (ROWS, ACTIONS, *([num_estimates] if num_estimates else []))
        assert fractions is None if module is ValueNetwork else fractions.shape == (ROWS, K)
    contracts.checks_keys(look, params, obs, key)


# --- dueling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("dueling", AGGREGATIONS)
def test_the_value_is_that_of_the_average_or_best_action(kind, dueling):
    """Which makes the two streams identifiable: the advantages are 0 on average, or 0 at most."""
    network, params = made(kind, dueling)
    split, _ = made(kind, streams=True)
    obs = observations(Settings())
    values, streams = (contracts.quick(functools.partial(outputs, n))(params, obs) for n in (network, split))
    if kind in ("quantiles", "implicit"):
        values, streams = values[0], streams[0]
    over = {"mean": np.mean, "max": np.max}[dueling](np.asarray(values), axis=1, keepdims=True)
    np.testing.assert_allclose(over, streams[0], atol=1e-5)
    assert np.std(np.asarray(values), axis=1).min() > 1e-3


# --- noise ---------------------------------------------------------------------------------------------------------


def deviations_times(factor, params):
    return jax.tree_util.tree_map_with_path(
        lambda path, x: factor * x if "deviation" in jax.tree_util.keystr(path) else x, params
    )


def test_without_a_key_the_weights_are_their_means():
    """Then the deviations play no part; with a key the out is another for each key, and unbiased where it is linear."""
    network, params = made("values", "mean", 0.5)
    obs, look = observations(Settings()), contracts.quick(functools.partial(outputs, network))
    louder = deviations_times(2, params)
    contracts.assert_equal(look(params, obs), look(louder, obs))
    one, again, two = (look(params, obs, jax.random.key(i)) for i in (1, 1, 2))
    contracts.assert_equal(one, again)
    assert np.abs(one - two).min() > 0 and np.abs(one - look(params, obs)).min() > 0
    assert np.abs(one - look(louder, obs, jax.random.key(1))).min() > 0
    network, params = made("values", None, 0.5, Settings(()))
    draw = contracts.quick(jax.vmap(lambda key: outputs(network, params, obs, key)))
    draws = np.asarray(draw(jax.random.split(jax.random.key(3), 4000)))
    error = draws.std(0) / np.sqrt(4000)
    assert (np.abs(draws.mean(0) - outputs(network, params, obs)) < 5 * error).all()


@pytest.mark.parametrize("kind", ["values", "implicit"])
def test_rows_draw_apart_in_a_step_and_together_in_an_unroll(kind):
    """The same observation in all rows: exploring rows have weights of their own, a loss has one draw of them."""
    network, params = made(kind, None, 0.5, Settings(()))
    obs, key = Observation(jnp.broadcast_to(jnp.array([1.0, -0.5, 2.0]), (ROWS, SIZE))), jax.random.key(4)

    def noise(look, key):
        """Of the action values [N, n]; at the fractions that are drawn with the same key, where they are."""
        out, louder = (look(network, each, obs, key) for each in (params, deviations_times(2, params)))
        return louder[0][..., 0] - out[0][..., 0] if kind == "implicit" else louder - out

    together = np.asarray(noise(outputs_together, key))
    alike = np.abs(together - together[:1]).max() < 1e-5
    assert alike if kind == "values" else not alike  # every row has fractions of its own
    draw = contracts.quick(jax.vmap(lambda key: noise(outputs, key)[:2, 0]))
    draws = np.asarray(draw(jax.random.split(jax.random.key(5), 2000)))
    assert draws.std(0).min() > 1e-3 and abs(np.corrcoef(draws.T)[0, 1]) < 4 / np.sqrt(2000)
    draw = contracts.quick(jax.vmap(lambda key: noise(outputs_together, key)[:2, 0]))
    draws = np.asarray(draw(jax.random.split(jax.random.key(5), 2000)))
    assert np.corrcoef(draws.T)[0, 1] > 0.5


def test_a_row_apart_has_the_noise_of_all_together():
    """With one row there is one draw either way, and the two ways to multiply agree."""
    network, params = made("atoms", "mean", 0.5)
    obs, key = Observation(jnp.array([[1.0, -0.5, 2.0]])), jax.random.key(9)
    apart, together = (look(network, params, obs, key) for look in (outputs, outputs_together))
    np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-5)
    assert np.abs(apart - outputs(network, params, obs)).max() > 1e-2


def test_noise_is_factorised():
    """Of a layer with p inputs and q outputs it is deviation * f(e_p) f(e_q)^T, f(e) = sign(e) sqrt |e|, e normal."""
    settings, deviation, inputs = Settings(()), 0.5, 3
    network, params = made("values", None, deviation, settings)
    units = Observation(jnp.concatenate([jnp.zeros((1, inputs)), jnp.eye(inputs)]))

    def noise(key):
        """(kernel [p, q], bias [q]) of the noise alone."""
        off = outputs_together(network, params, units, key) - outputs_together(network, params, units)
        return off[1:] - off[0], off[0]

    draw = contracts.quick(jax.vmap(noise))
    kernels, biases = (np.asarray(x, float) for x in draw(jax.random.split(jax.random.key(6), 4000)))
    singular = np.linalg.svd(kernels, compute_uv=False)
    assert (singular[:, 1] < 1e-3 * singular[:, 0] + 1e-5).all()
    scale = deviation / np.sqrt(inputs)
    second = 2 / np.pi  # E[f(a)^2 f(b)^2] = E|a| E|b| = 2 / pi
    error = np.sqrt((1 - second**2) / 4000)  # f(a)^4 f(b)^4 has mean 1
    assert np.abs((kernels**2).mean(0) / scale**2 - second).max() < 5 * error
    assert np.abs(kernels.mean(0)).max() < 5 * scale * np.sqrt(second / 4000)
    assert np.abs((biases**2).mean(0) / scale**2 - np.sqrt(second)).max() < 5 * np.sqrt((1 - second) / 4000)
    shared = kernels[:, 0] / kernels[:, 1]  # the factor of the outputs, which bias and kernel share, cancels
    np.testing.assert_allclose(shared[:, :1].repeat(ACTIONS, 1), shared, rtol=0.05)


def test_weights_start_as_the_paper_says():
    """Means are uniform within 1 / sqrt(p), deviations constant at 0.5 / sqrt(p) for p inputs."""
    _, params = made("values", None, 0.5, Settings((400, 300)))
    leaves = {
        jax.tree_util.keystr(path)[-25:]: np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(params)
    }
    noisy = {name: x for name, x in leaves.items() if "deviation" in name}
    assert len(noisy) == 4 and {np.unique(x).size for x in noisy.values()} == {1}
    assert {round(float(x.flat[0]), 5) for x in noisy.values()} == {round(0.5 / p**0.5, 5) for p in (400, 300)}
    for name, x in leaves.items():
        if "kernel_0" in name or "kernel_1" in name:
            bound = x.shape[0] ** -0.5
            assert np.abs(x).max() <= bound and abs(x.std() / bound - 3**-0.5) < 0.03


# --- fractions -----------------------------------------------------------------------------------------------------


def test_fractions_are_drawn_with_the_key():
    """Uniform and independent for every row and key; without one, and at fixed fractions, the middles of K parts."""
    middles = (np.arange(K) + 0.5) / K
    network, params = made("implicit")
    obs, look = observations(Settings()), contracts.quick(functools.partial(outputs, network))
    np.testing.assert_allclose(look(params, obs)[1], np.broadcast_to(middles, (ROWS, K)), rtol=1e-6)
    draws = np.asarray(jax.vmap(lambda key: look(params, obs, key)[1])(jax.random.split(jax.random.key(7), 1000)))
    assert draws.min() > -1e-9 and draws.max() < 1 and np.unique(draws).size > 0.99 * draws.size
    assert abs(draws.mean() - 0.5) < 5 / np.sqrt(12 * draws.size) and abs(draws.var() - 1 / 12) < 1e-3
    fixed, weights = made("quantiles")
    np.testing.assert_allclose(outputs(fixed, weights, obs, jax.random.key(8))[1], look(params, obs)[1], rtol=1e-6)


def test_a_quantile_depends_on_its_own_fraction():
    """Equal fractions have equal quantiles, whatever the others are, and other fractions have others."""
    few, many = (q_network(Settings((8, 8)), ACTIONS, k, None, None, ImplicitNetwork) for k in (1, 3))
    _, params = made("implicit")
    obs = observations(Settings())
    np.testing.assert_allclose(outputs(few, params, obs)[1], 0.5)
    one, three = outputs(few, params, obs)[0], outputs(many, params, obs)[0]
    np.testing.assert_allclose(one[..., 0], three[..., 1], rtol=1e-5)
    assert np.abs(three[..., 0] - three[..., 1]).min() > 1e-5
