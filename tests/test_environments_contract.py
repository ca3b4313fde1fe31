"""Every registered environment, and variants of some, in one table: what a world promises to `vectorize`."""

import importlib
import inspect
import pkgutil

import contracts
import jax
import jax.numpy as jnp
import pytest
from contracts import WORLDS, walk, world
from jax.experimental import checkify

import jaxrl.envs
from jaxrl.envs import registry
from jaxrl.types import Environment

every = pytest.mark.parametrize("name", WORLDS)
OURS = [name for name in WORLDS if name not in registry.GYMNAX]
ours = pytest.mark.parametrize("name", OURS)
every_slowly = pytest.mark.parametrize(  # gymnax's steps have hundreds of operations, each compiled on its own
    "name", [pytest.param(name, marks=[] if name in OURS else pytest.mark.slow) for name in WORLDS]
)


def pick(tree, t, row):
    return jax.tree.map(lambda x: x[t, row], tree)


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
def test_a_world_keeps_its_promises(name):
    """Structure, dtypes, purity, keys, spaces, masks, measures, ends and model, along a random walk."""
    assert walk(name).ended.shape == (150, 8)


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
def test_no_index_leaves_its_array(name):
    """1200 random steps read and write only inside of their arrays."""
    env, taken = world(name), walk(name)
    checked = jax.vmap(checkify.checkify(env.step, errors=checkify.index_checks), (0, 0, 0, None))
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (taken.key, taken.state, taken.action))
    error, _ = contracts.quick(checked)(*flat, env.params)
    error.throw()
