"""Networks: one signature, memory that restarts where an episode does, rows that never mix, orthogonal kernels."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import networks
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.types import Observation

TIME, ROWS, SIZE = 7, 5, 3
FORMS = {
    "feed-forward": Settings((8,)),
    "linear": Settings(()),
    "gru": Settings((8,), cell="gru", cell_size=4),
    "lstm": Settings((8,), cell="lstm", cell_size=4),
    "layer norm": Settings((8, 8), normalisation="layer"),
    "layer norm, gru": Settings((8,), cell="gru", cell_size=4, normalisation="layer"),
    "batch norm": Settings((8, 8), normalisation="batch"),
    "batch norm, bfloat16, slices": Settings((8,), normalisation="batch", precision="bfloat16", microbatch_size=1),
    "convolution": Settings((8,), channels=(2,)),
    "convolution, gru": Settings((8,), channels=(2,), cell="gru", cell_size=4),
}
every = pytest.mark.parametrize("name", FORMS)


def episode(name):
    """(network, params, obs [T, N, ...], first [T, N])."""
    shape = (4, 5, 2) if "convolution" in name else (SIZE,)
    keys = jax.random.split(jax.random.key(0), 3)
    obs = Observation(jax.random.normal(keys[0], (TIME, ROWS, *shape)))
    first = jax.random.bernoulli(keys[1], 0.3, (TIME, ROWS)).at[0].set(True)
    network = networks.actor_critic(FORMS[name], 2, num_free=1)
    params = contracts.quick(network.init)(keys[2], jax.tree.map(lambda x: x[0], obs))
    return network, params, obs, first


@every
def test_unroll_is_step_after_step(name):
    """Outputs and carries agree with a loop over time, with episodes that open in between."""
    network, params, obs, first = episode(name)
    carries, (outputs, values) = contracts.quick(network.unroll)(params, network.begin(ROWS), obs, first)
    assert outputs.shape == (TIME, ROWS, 3) and values.shape == (TIME, ROWS)
    carry, step = network.begin(ROWS), contracts.quick(network.step)
    for t in range(TIME):
        carry, out = step(params, carry, jax.tree.map(lambda x, t=t: x[t], obs), first[t])
        contracts.assert_close(out, (outputs[t], values[t]), 1e-6)
        contracts.assert_close(carry, jax.tree.map(lambda x, t=t: x[t], carries), 1e-6)


@every
def test_rows_do_not_mix_and_memory_ends_with_the_episode(name):
    """A changed observation changes its own row only, and nothing of it survives the start of an episode."""
    network, params, obs, _ = episode(name)
    first = jnp.zeros((TIME, ROWS), bool).at[0].set(True).at[4].set(True)
    unroll = contracts.quick(
        lambda features: network.unroll(params, network.begin(ROWS), Observation(features), first)[1]
    )
    before, after = unroll(obs.features), unroll(obs.features.at[1, 2].add(1.0))
    changed = (
        np.asarray(sum(jnp.abs(a - b).reshape(TIME, ROWS, -1).max(-1) for a, b in zip(before, after, strict=True))) > 0
    )
    remembers = FORMS[name].cell is not None
    expected = np.zeros((TIME, ROWS), bool)
    expected[1 : 4 if remembers else 2, 2] = True
    np.testing.assert_array_equal(changed, expected)


@every
def test_no_key_is_used_twice(name):
    network, _, obs, _ = episode(name)
    contracts.checks_keys(network.init, jax.random.key(0), jax.tree.map(lambda x: x[0], obs))


def test_free_outputs_do_not_depend_on_the_row():
    network, params, obs, first = episode("feed-forward")
    _, (outputs, _) = network.unroll(params, (), obs, first)
    np.testing.assert_array_equal(outputs[..., 2], 0)
    moved = jax.tree.map(lambda x: x + 1, params)
    assert np.unique(np.asarray(network.unroll(moved, (), obs, first)[1][0][..., 2])).size == 1


@pytest.mark.parametrize("shape", [(6, 6), (3, 9), (9, 3), (2, 4, 3), (1, 1)])
def test_kernels_are_orthogonal(shape):
    """The shorter side's vectors are orthogonal and of length scale; as likely one way as the other."""
    draw = contracts.quick(jax.vmap(lambda key: networks.orthogonal(0.5)(key, shape)))
    kernels = np.asarray(draw(jax.random.split(jax.random.key(0), 400))).reshape(400, -1, shape[-1])
    if kernels.shape[1] < kernels.shape[2]:
        kernels = kernels.swapaxes(1, 2)
    gram = kernels.swapaxes(1, 2) @ kernels
    np.testing.assert_allclose(gram, np.broadcast_to(0.25 * np.eye(gram.shape[-1]), gram.shape), atol=1e-4)
    deviation = 0.5 / np.sqrt(kernels.shape[1])
    assert np.abs(kernels.mean(0)).max() < 5 * deviation / np.sqrt(400)
    np.testing.assert_allclose((kernels**2).mean(), deviation**2, rtol=0.01)


def test_the_last_layers_are_scaled():
    """Hidden kernels have gain sqrt 2, the policy's last one 0.01, the value's 1; biases are 0."""
    network = networks.actor_critic(Settings((16, 16)), 4)
    params = network.init(jax.random.key(0), Observation(jnp.zeros((1, 8))))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = {jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves if x.ndim == 2}
    gains = {name: np.linalg.svd(kernel, compute_uv=False) for name, kernel in kernels.items()}
    assert len(gains) == 6
    for actor_or_critic, last in (("actor", 0.01), ("critic", 1.0)):
        largest = sorted(gain.max() for name, gain in gains.items() if actor_or_critic in name)
        np.testing.assert_allclose(largest, sorted([last, 2**0.5, 2**0.5]), rtol=1e-3)
    assert all(not np.any(x) for _, x in leaves if x.ndim == 1)


def test_thirty_two_seeds_start_in_one_program():
    """Initialising under vmap neither hangs nor repeats itself."""
    network = networks.actor_critic(Settings((64, 64)), 2)
    init = jax.jit(jax.vmap(network.init, (0, None)))
    params = init(jax.random.split(jax.random.key(0), 32), Observation(jnp.zeros((1, 4))))
    kernel = next(np.asarray(x) for x in jax.tree.leaves(params) if x.ndim == 3)
    assert len(np.unique(kernel.reshape(32, -1), axis=0)) == 32 and np.isfinite(kernel).all()


def test_large_batches_are_small_ones():
    """However a batch is laid out: outputs and gradients are those of its rows, also under vmap."""
    network = networks.build(Settings((8, 8)), lambda mlp: mlp(3))
    obs = jax.random.normal(jax.random.key(0), (600, SIZE))
    params = network.init(jax.random.key(1), Observation(obs[:1]))

    def loss(params, obs):
        out = network.step(params, (), Observation(obs), jnp.zeros(len(obs), bool))[1]
        return jnp.sum(out**2), out

    gradient = contracts.quick(jax.grad(loss, has_aux=True))
    whole, out = gradient(params, obs)
    parts = [gradient(params, part) for part in jnp.split(obs, 6)]
    contracts.assert_close(out, jnp.concatenate([each for _, each in parts]), 1e-5)
    contracts.assert_close(jax.tree.map(lambda *g: sum(g), *[g for g, _ in parts]), whole, 1e-4)
    both = contracts.quick(jax.vmap(jax.grad(loss, has_aux=True), (None, 0)))(params, jnp.stack([obs, -obs]))
    contracts.assert_close(contracts.lane(both, 0), (whole, out), 1e-5)


def test_what_a_network_reads():
    """Features and the goal side by side, as floats; neither the mask nor the state of the world."""
    obs = Observation(
        jnp.full((2, 2, 3), 7, jnp.uint8), legal=jnp.ones((2, 4), bool), goal=jnp.ones((2, 2)), state=jnp.ones((2, 9))
    )  # fmt: skip
    read = networks.inputs(obs, 1)
    assert read.shape == (2, 8) and read.dtype == jnp.float32
    np.testing.assert_array_equal(read, [[7] * 6 + [1] * 2] * 2)
    assert networks.inputs(obs._replace(goal=None), 1).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(cell="grue"), "gru"),
        (Settings(activation="rulu"), "relu"),
        (Settings((), cell="gru"), "hidden"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        networks.actor_critic(settings, 2)
