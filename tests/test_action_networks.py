"""Networks of continuous control: the units of bounds, values of (obs, action), ensembles."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import action_networks, networks, spaces
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.types import Observation

BOX = spaces.Box(((-3.0, 0.0),), ((1.0, 10.0),), (1, 2))


def test_units_of_the_bounds_and_back():
    """-1 and 1 are the bounds of each entry, 0 is their middle; what lies beyond comes back at a bound."""
    units = action_networks.bounds(BOX)
    assert units.size == 2
    action = units.from_units(jnp.array([[-1.0, 1.0], [0.0, 0.5], [-7.0, 7.0]]))
    np.testing.assert_allclose(action, [[[-3, 10]], [[-1, 7.5]], [[-3, 10]]])
    np.testing.assert_allclose(units.to_units(action), [[-1, 1], [0, 0.5], [-1, 1]])
    assert action.dtype == BOX.dtype


@pytest.mark.parametrize(
    ("space", "named"),
    [
        (spaces.Box(-np.inf, 1.0, (2,)), "low \\[-inf -inf\\]"),
        (spaces.Box(-1.0, np.inf, (1,)), "high \\[inf\\]"),
        (spaces.Box(1.0, 1.0, (1,)), "low < high"),
        (spaces.Discrete(3), "Discrete"),
        (spaces.Box(0, 3, (1,), np.int32), "floats"),
    ],
)
def test_what_has_no_units_is_named(space, named):
    with pytest.raises(UsageError, match=named):
        action_networks.bounds(space)


@pytest.mark.parametrize("make", [action_networks.action_value, lambda settings: action_networks.policy(settings, 2)])
def test_a_memory_is_refused(make):
    with pytest.raises(UsageError, match="cell is gru"):
        make(Settings((8,), cell="gru"))


def test_a_value_reads_features_goal_and_action():
    """Each of them changes it; the rest of an observation does not."""
    network = action_networks.action_value(Settings((8,)))
    keys = jax.random.split(jax.random.key(0), 4)
    obs = Observation(jax.random.normal(keys[0], (5, 3)), goal=jax.random.normal(keys[1], (5, 2)), state=jnp.zeros(5))
    action, first = jax.random.normal(keys[2], (5, 2)), jnp.zeros(5, bool)
    params = network.init(keys[3], (obs, action))
    value = network.step(params, (), (obs, action), first)[1]
    assert value.shape == (5,)

    def changed(obs, action):
        return np.abs(np.asarray(network.step(params, (), (obs, action), first)[1] - value)) > 1e-6

    assert changed(obs._replace(features=obs.features + 1), action).all()
    assert changed(obs._replace(goal=obs.goal + 1), action).all()
    assert changed(obs, action + 1).all()
    assert not changed(obs._replace(state=jnp.ones(5)), action).any()


def test_convolutions_see_no_action():
    """The value of a picture: its convolutions come first, the action joins the layers behind them."""
    network = action_networks.action_value(Settings((8,), channels=(2,)))
    obs, action = Observation(jax.random.normal(jax.random.key(0), (5, 4, 4, 3))), jnp.ones((5, 2))
    params = network.init(jax.random.key(1), (obs, action))
    assert params["params"]["layers"]["bias_0"].shape == (8,)
    kernels = params["params"]["layers"]["kernels"]
    assert kernels[0].shape == (4 * 4 * 2 + 2, 8)
    assert network.step(params, (), (obs, action), jnp.zeros(5, bool))[1].shape == (5,)


@pytest.mark.parametrize("cell", [None, "gru"])
def test_an_ensemble_is_its_members(cell):
    """Out, carries and gradients are those of n networks of their own; the members differ from the start."""
    network = networks.actor_critic(Settings((8,), cell=cell, cell_size=4), 2)
    both = action_networks.ensemble(network, 3)
    obs, first = (
        Observation(jax.random.normal(jax.random.key(0), (6, 5, 3))),
        jnp.zeros((6, 5), bool).at[2, 1].set(True),
    )
    params, carry = both.init(jax.random.key(1), jax.tree.map(lambda x: x[0], obs)), both.begin(5)
    carries, (outputs, value) = contracts.quick(both.unroll)(params, carry, obs, first)
    assert value.shape == (3, 6, 5) and outputs.shape == (3, 6, 5, 2)
    assert contracts.differs(value[0], value[1])
    for i in range(3):
        own = jax.tree.map(lambda x, i=i: x[i], params)
        expected = contracts.quick(network.unroll)(own, network.begin(5), obs, first)
        found = jax.tree.map(lambda x, i=i: x[:, :, i], carries), (outputs[i], value[i])
        contracts.assert_close(found, expected, 1e-6)
    one = contracts.quick(both.step)(params, carry, jax.tree.map(lambda x: x[0], obs), first[0])
    contracts.assert_close(one[1], (outputs[:, 0], value[:, 0]), 1e-6)
    contracts.assert_close(one[0], jax.tree.map(lambda x: x[0], carries), 1e-6)
    with pytest.raises(UsageError, match="ensemble"):
        action_networks.ensemble(network, 0)
