"""Every registered algorithm, in each of its forms, in one table: what an agent promises to the loop."""

import importlib
import inspect
import pkgutil

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import LEARNERS, ROWS, case, lane, marked

import jaxrl.agents
from jaxrl import agents, spaces
from jaxrl.statistics import Mean
from jaxrl.types import Agent

every = pytest.mark.parametrize("name", marked(ROWS), scope="module")
learners = pytest.mark.parametrize("name", marked(LEARNERS), scope="module")
FIRST = {name for name in ROWS if name in agents.names()}  # the plain form of every algorithm
OWN = {name for name in FIRST if not agents.algorithm(name).about}  # which is no setting of another one


def test_every_algorithm_has_a_row():
    """What returns an Agent is registered, and what is registered has a row named like it; DQN has several names."""
    assert FIRST == set(agents.names()) == {row.algorithm for row in ROWS.values()}
    found = set()
    for module in pkgutil.walk_packages(jaxrl.agents.__path__, "jaxrl.agents."):
        if module.name in ("jaxrl.agents.tabular.core", "jaxrl.agents.teams") or module.name.endswith("_family"):
            continue  # what agents are built by
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            hints = function.__annotations__
            wraps = hints.get("agent") is Agent  # any agent, so it is no algorithm itself
            if hints.get("return") in (Agent, "Agent") and not wraps and function.__module__ == module.name:
                found.add(name)
    assert {name for name in agents.names() if not agents.algorithm(name).about} <= found <= set(agents.names())


@every
def test_state_is_closed_under_learn(name):
    """Initial and later states agree in structure, shapes, dtypes and weak types; a metric is a sum with its count."""
    this = case(name)
    before, after = this.history[0], this.history[3]
    metrics = this.step(after)[1]
    assert contracts.kinds(after) == contracts.kinds(before)
    assert not any(weak for *_, weak in contracts.kinds(after)[1])
    assert all(
        isinstance(metric, Mean) and metric.total.shape == metric.count.shape == () for metric in metrics.values()
    )
    assert {"episode_return", "episode_length"} <= set(metrics)
    assert int(after.updates) == 3


@every
def test_one_trace_serves_all_updates(name):
    """Three updates compile once, and leave finite states."""
    this = case(name)
    state = this.history[3]
    assert this.counted.count == 1
    floats = [x for x in contracts.plain(contracts.without("config", state.agent)) if x.dtype.kind == "f"]
    assert all(np.isfinite(x).all() for x in floats)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in OWN else pytest.mark.slow) for n in ROWS])
def test_compiled_or_not_is_the_same(name):
    this, key = case(name), jax.random.key(7)
    state = this.history[1]
    args = state.agent, key, state.carry, state.timestep
    contracts.assert_close(this.act(*args), this.agent.act(*args), 1e-5)
    args = state.agent, key, this.rollout
    contracts.assert_close(this.learn(*args), this.agent.learn(*args), 1e-5)


@every
def test_runs_under_vmap_are_separate_runs(name):
    """Of three seeds in one program, each has the state after one update that it has alone.

    Float32 sums are added in another order there, and Adam's first steps divide a gradient by its own size, so that a
    rounding of a small gradient is a rounding of the whole step; in float64 (the slow test) nothing is left of it.
    """
    this = case(name)
    together = this.step_many(this.many)
    for i in range(3):
        alone = this.init(jax.random.key(i))
        contracts.assert_close(lane(this.many, i), alone, 1e-6)
        (state, metrics), (expected, reported) = lane(together, i), this.step(alone)
        contracts.assert_close(state._replace(agent=()), expected._replace(agent=()), 1e-6)
        pair = state.agent, expected.agent
        # A buffer holds numbers as bits, of which a bonus, or an action that is a number, is rounded.
        if ROWS[name].curiosity.bonus or np.issubdtype(this.env.action_space.dtype, np.floating):
            pair = tuple(map(contracts.without_memory, pair))
        contracts.assert_close((pair[0], metrics), (pair[1], reported), 1e-4)


@learners
def test_nan_stays_in_its_lane(name):
    """What diverges in one of three vmapped runs leaves the others bit-unchanged."""
    this = case(name)
    spoil = jax.tree.map(
        lambda x: x.at[1].set(jnp.nan) if jnp.issubdtype(x.dtype, jnp.floating) else x, this.many.agent
    )
    clean, spoilt = this.step_many(this.many), this.step_many(this.many._replace(agent=spoil))
    assert any(np.isnan(x).any() for x in contracts.plain(lane(spoilt, 1)) if x.dtype.kind == "f")
    for i in (0, 2):
        contracts.assert_equal(lane(clean, i), lane(spoilt, i))


@every
def test_greedy_actions_are_deterministic(name):
    """Without exploration the key changes nothing."""
    this, state = case(name), case(name).history[2]
    if name in LEARNERS:
        actions = [this.act_greedy(state.agent, jax.random.key(i), state.carry, state.timestep)[:2] for i in (1, 2)]
        contracts.assert_equal(*actions)


@every
def test_actions_lie_in_their_space(name):
    """Shape and dtype are the space's, and so is the value once a box has been clipped to its bounds."""
    this, state = case(name), case(name).history[2]
    space = this.env.action_space
    inside = jax.vmap(lambda action: spaces.contains(space, action))
    for act in (this.act, this.act_greedy):
        action = act(state.agent, jax.random.key(3), state.carry, state.timestep)[0]
        assert action.shape == (*state.timestep.reward.shape, *space.shape)
        assert action.dtype == space.dtype and np.isfinite(np.asarray(action)).all()
        assert bool(jnp.all(inside(spaces.clip(space, action).reshape(-1, *space.shape))))


@every
def test_the_seed_decides(name):
    """One seed twice is bit-equal; two seeds differ in parameters, first observations, first actions, first batch."""
    this = case(name)
    contracts.assert_equal(this.init(jax.random.key(0)), this.history[0])
    contracts.assert_equal(this.step(this.history[0])[0], this.history[1])
    one, two = lane(this.many, 0), lane(this.many, 1)
    if hasattr(one.agent, "params"):
        assert contracts.differs(one.agent.params, two.agent.params)
    first_obs = [state.timestep.obs.features for state in (one, two)]
    fixed_start = all((x == x[0]).all() for x in contracts.plain(first_obs))
    assert fixed_start or contracts.differs(*first_obs)
    batches = [this.roll(jax.random.key(i), state)[3].steps for i, state in enumerate((one, two))]
    if name != "ppo, one row":  # whose world has one start and one action
        assert contracts.differs(batches[0].action, batches[1].action)
        assert fixed_start or contracts.differs(batches[0].obs, batches[1].obs)
