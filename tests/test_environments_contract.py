"""Every registered environment, and variants of some, in one table: what a world promises to `vectorize`."""

import importlib
import inspect
import pkgutil

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import WORLDS, walk, world
from jax.experimental import checkify

import jaxrl.envs
from jaxrl import spaces
from jaxrl.envs import registry
from jaxrl.types import Environment, Observation

every = pytest.mark.parametrize("name", WORLDS)
OURS = [name for name in WORLDS if name not in registry.GYMNAX]
ours = pytest.mark.parametrize("name", OURS)
every_slowly = pytest.mark.parametrize(  # gymnax's steps have hundreds of operations, each compiled on its own
    "name", [pytest.param(name, marks=[] if name in OURS else pytest.mark.slow) for name in WORLDS]
)


def pick(tree, t, row):
    return jax.tree.map(lambda x: x[t, row], tree)


def features(obs):
    return obs.features if isinstance(obs, Observation) else obs


def test_every_world_in_the_folder_is_registered():
    """A constructor that needs no arguments is a world, so it must be in the registry, and thereby in this table."""
    found = {}
    for module in pkgutil.iter_modules(jaxrl.envs.__path__, "jaxrl.envs."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            parameters = inspect.signature(function).parameters.values()
            complete = all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters)
            if function.__annotations__.get("return") in (Environment, "Environment") and complete:
                found[name] = function
    assert len(found) >= 13
    assert [name for name, function in found.items() if function not in registry.CONSTRUCTORS.values()] == []


@every
def test_state_is_closed_under_step(name):
    """A step gives back a state of the same structure, shapes and dtypes; reward and termination have theirs."""
    env, key = world(name), jax.random.key(0)
    state, obs = jax.eval_shape(env.reset, key, env.params)
    action = jax.eval_shape(lambda k: spaces.sample(env.action_space, k), key)
    after = jax.eval_shape(env.step, key, state, action, env.params)
    assert contracts.kinds(after[0]) == contracts.kinds(state)
    assert contracts.kinds(after[1]) == contracts.kinds(obs)
    shape = () if env.num_agents is None else (env.num_agents,)
    assert (after[2].shape, after[2].dtype) == (shape, np.float32)
    assert (after[3].shape, after[3].dtype) == (shape, bool)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((state, obs, after)))


@every
def test_spaces_hold_what_is_emitted(name):
    """Every observation, after a step and after a reset, has its space's shape, dtype and bounds."""
    env, taken = world(name), walk(name)
    inside = jax.vmap(jax.vmap(lambda obs: spaces.contains(env.observation_space, obs)))
    declared = [leaf.dtype for leaf in jax.tree.leaves(env.observation_space, is_leaf=spaces.is_space)]
    for obs in (features(taken.after[1]), features(taken.first_obs)):
        assert bool(jnp.all(inside(obs)))
        assert [leaf.dtype for leaf in jax.tree.leaves(obs)] == declared
    assert bool(jnp.all(jax.vmap(jax.vmap(lambda action: spaces.contains(env.action_space, action)))(taken.action)))
    assert np.isfinite(np.asarray(taken.after[2])).all()


@every
def test_masks_and_measures(name):
    """In every state some action is legal; measures are scalars under fixed names."""
    env, taken = world(name), walk(name)
    if env.legal_actions is not None:
        assert taken.legal.dtype == bool and taken.legal.shape[2:] == (env.action_space.n,)
        assert np.asarray(taken.legal).any(-1).all()
    for value in taken.measures.values():
        assert value.shape == taken.after[2].shape[:2] and np.isfinite(np.asarray(value)).all()


@every
def test_step_alone_is_step_among_rows(name):
    """One row stepped alone (compiled once) does what it did among eight; so does the same call a second time."""
    env, taken = world(name), walk(name)
    counted = contracts.Counted(env.step)
    step = contracts.quick(counted)
    for t, row in ((0, 0), (1, 3), (40, 7), (149, 5)):
        key, state, action, after = (pick(x, t, row) for x in (taken.key, taken.state, taken.action, taken.after))
        alone = step(key, state, action, env.params)
        contracts.assert_close(alone, after, 1e-5)
        contracts.assert_equal(step(key, state, action, env.params), alone)
    assert counted.count == 1


@every_slowly
def test_step_is_the_same_without_compilation(name):
    """Compiled or not: the same state, observation, reward and flag."""
    env, taken = world(name), walk(name)
    key, state, action, after = (pick(x, 3, 2) for x in (taken.key, taken.state, taken.action, taken.after))
    contracts.assert_close(jax.tree.map(jnp.asarray, env.step(key, state, action, env.params)), after, 1e-5)


@every
def test_start_depends_on_the_key_alone(name):
    """Equal keys give equal starts, compiled or not; starts that differ at all differ between keys."""
    env, key = world(name), jax.random.key(3)
    reset = contracts.quick(env.reset)
    contracts.assert_equal(reset(key, env.params), reset(key, env.params))
    contracts.assert_close(reset(key, env.params), jax.tree.map(jnp.asarray, env.reset(key, env.params)), 1e-6)


@ours
def test_no_key_is_used_twice(name):
    env, key = world(name), jax.random.key(0)
    state = contracts.quick(env.reset)(key, env.params)[0]
    action = spaces.sample(env.action_space, key)
    contracts.checks_keys(env.reset, key, env.params)
    contracts.checks_keys(env.step, key, state, action, env.params)


@ours
def test_no_index_leaves_its_array(name):
    """1200 random steps read and write only inside of their arrays."""
    env, taken = world(name), walk(name)
    checked = jax.vmap(checkify.checkify(env.step, errors=checkify.index_checks), (0, 0, 0, None))
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (taken.key, taken.state, taken.action))
    error, _ = contracts.quick(checked)(*flat, env.params)
    error.throw()
