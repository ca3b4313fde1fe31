"""What every agent must not get wrong, in one table: endings, warm-up, masks, invalid steps, keys, counters."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import LEARNERS, ROWS, case, inner, lane, marked
from jax.experimental import checkify

from jaxrl import batch_norm, spaces, transforms
from jaxrl.loop import make_trainer
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

every = pytest.mark.parametrize("name", marked(ROWS), scope="module")
learners = pytest.mark.parametrize("name", marked(LEARNERS), scope="module")
replay = pytest.mark.parametrize("name", marked(name for name in ROWS if "learning_starts" in ROWS[name].config))
masked = pytest.mark.parametrize("name", marked(name for name in ROWS if "masked" in name))


# (The check does not follow keys through vmap: an independent agent is checked in the row that it has alone.)
@pytest.mark.parametrize("name", marked(n for n in ROWS if ROWS[n].team.learning == "shared"), scope="module")
def test_no_key_is_used_twice(name):
    """Neither at the start nor in a training step, which acts, steps the worlds and learns."""
    contracts.checks_keys(case(name).trainer.init, jax.random.key(0))
    contracts.checks_keys(case(name).trainer.step, case(name).history[0])


def test_a_key_that_is_used_twice_is_found():
    def twice(key):
        return jax.random.normal(key) + jax.random.uniform(key)

    with pytest.raises(Exception, match="[Kk]ey"):
        contracts.checks_keys(twice, jax.random.key(0))


@learners
def test_a_termination_at_the_limit_is_a_termination(name):
    """Where a step is both, the flag of the limit changes nothing that is learnt."""
    this = case(name)
    state, key, steps = this.history[3].agent, jax.random.key(2), this.rollout.steps
    yes, no = jnp.ones_like(steps.valid), jnp.zeros_like(steps.valid)

    def learn(terminated, truncated):
        changed = steps._replace(terminated=terminated, truncated=truncated)
        state_after, metrics = this.learn(state, key, this.rollout._replace(steps=changed))
        return contracts.without_memory(state_after), metrics

    contracts.assert_equal(learn(yes, yes), learn(yes, no))
    assert contracts.differs(learn(yes, no), learn(no, yes))


@learners
def test_invalid_steps_change_nothing(name):
    """What a dead agent's steps hold, even NaN, moves no parameter; the valid steps are learnt from."""
    this = case(name)
    state, key, steps = this.history[3].agent, jax.random.key(2), this.rollout.steps
    dead = jnp.zeros((steps.valid.shape[0], this.venv.num_rows), bool).at[-2:, 0].set(True).at[0, -1].set(True)
    if dead.all():
        dead = jnp.zeros_like(dead)
    dead = dead.reshape(steps.valid.shape)  # of a team one member alone

    def with_junk(junk):
        def spoil(x):
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return x
            return jnp.where(dead.reshape(dead.shape + (1,) * (x.ndim - dead.ndim)), junk, x)

        return this.rollout._replace(steps=jax.tree.map(spoil, steps)._replace(valid=~dead))

    clean, spoilt = (this.learn(state, key, with_junk(junk)) for junk in (0.5, jnp.nan))
    contracts.assert_equal(contracts.without_memory(clean[0]), contracts.without_memory(spoilt[0]))
    assert all(np.isfinite(x).all() for x in contracts.plain(clean[1]))
    assert contracts.differs(clean[0], this.learn(state, key, this.rollout)[0]) or not dead.any()
    nothing = this.learn(state, key, this.rollout._replace(steps=steps._replace(valid=jnp.zeros_like(dead))))
    assert all(np.isfinite(x).all() for x in contracts.plain(nothing[1]))


@replay
def test_nothing_changes_before_learning_starts(name):
    """Alone and under vmap, parameters, target and optimiser keep their bits until the buffer is ready."""
    this, config = case(name), ROWS[name].config
    updates = -(-config["learning_starts"] // this.transitions_per_update)
    for step, start in ((this.step, this.history[0]), (this.step_many, this.many)):
        state = start
        for _ in range(updates - 1):
            state = step(state)[0]
            for part in ("params", "target", "optimiser"):
                contracts.assert_equal(getattr(inner(state.agent), part), getattr(inner(start.agent), part))
        assert np.all(np.asarray(inner(state.agent).gradient_steps) == 0)
        state = step(state)[0]
        assert contracts.differs(inner(state.agent).params, inner(start.agent).params)
        assert np.all(np.asarray(inner(state.agent).gradient_steps) > 0)


@masked
def test_illegal_actions_are_never_taken(name):
    """Of 100,000 actions, explored or greedy, with any mask, none is illegal; every legal one is explored."""
    this, state = case(name), case(name).history[2]
    space, rows = this.env.action_space, 100_000
    sizes = space.sizes if isinstance(space, spaces.MultiDiscrete) else (space.n,)
    parts = [jax.random.bernoulli(jax.random.key(i), 0.5, (rows, n)) for i, n in enumerate(sizes)]
    parts = [part.at[jnp.arange(rows), jnp.arange(rows) % n].set(True) for part, n in zip(parts, sizes, strict=True)]
    picks = jnp.arange(rows) % this.venv.num_rows
    timestep, carry = (jax.tree.map(lambda x: x[picks], tree) for tree in (state.timestep, state.carry))
    timestep = timestep._replace(obs=timestep.obs._replace(legal=jnp.concatenate(parts, -1)))
    for act in (this.act, this.act_greedy):
        action = np.asarray(act(state.agent, jax.random.key(1), carry, timestep)[0])
        for part, chosen, n in zip(parts, action.reshape(rows, -1).T, sizes, strict=True):
            assert np.asarray(part)[np.arange(rows), chosen].all()
            assert act is this.act_greedy or set(chosen) == set(range(n))


@every
def test_rows_act_independently(name):
    """The actions of two rows, over 2000 draws, are uncorrelated: below 4 / sqrt(n)."""
    this, state = case(name), case(name).history[0]
    if this.venv.num_rows == 1:
        return
    keys = jax.random.split(jax.random.key(0), 2000)
    draw = contracts.quick(jax.vmap(lambda key: this.agent.act(state.agent, key, state.carry, state.timestep)[0]))
    actions = np.asarray(draw(keys), float).reshape(2000, this.venv.num_rows, -1)[:, :2, 0]
    if actions.std(0).min() > 0:
        assert abs(np.corrcoef(actions.T)[0, 1]) < 4 / np.sqrt(2000)


@every
def test_counters_never_overflow(name):
    """From 5 below the largest int32, ten updates leave every counter where it is or higher."""
    this = case(name)
    state, near = this.history[3], jnp.int32(2**31 - 5)
    counters = {"updates", "env_steps", "gradient_steps"} & set(getattr(state.agent, "_fields", ()))
    full = {name: jnp.full_like(getattr(state.agent, name), near) for name in counters}
    agent = state.agent._replace(**full) if counters else state.agent
    state = state._replace(updates=near, agent=agent)
    for _ in range(10):
        before, state = state, this.step(state)[0]
        assert int(state.updates) >= int(before.updates)
        assert all((getattr(state.agent, c) >= getattr(before.agent, c)).all() for c in counters)
    assert int(state.updates) == 2**31 - 1


@learners
def test_hyper_parameters_live_in_the_state(name):
    """They are arrays there, not constants of the program: a rate of 0 in the state stops what is learnt."""
    this, agent = case(name), case(name).history[2].agent
    rates = {"learning_rate", "kl_target"} & set(agent.config._fields)  # what a step's length is made of
    config = agent.config._replace(**{name: jnp.zeros_like(getattr(agent.config, name)) for name in rates})
    after = this.learn(agent._replace(config=config), jax.random.key(0), this.rollout)[0]
    for part in {"values", "params"} & set(agent._fields):
        now, before = (batch_norm.without(getattr(state, part)) for state in (after, agent))  # (moments move anyway)
        contracts.assert_equal(now, before)
    contracts.assert_equal(after.config, config)


@pytest.mark.parametrize("name", ["q_learning", "ppo"])  # (the check itself fails on the gradient of DQN's gather)
def test_no_index_leaves_its_array(name):
    """Acting and learning read and write only inside of their arrays: neither clamped nor wrapped."""
    this, key = case(name), jax.random.key(0)
    state = this.history[3]
    checked = checkify.checkify(this.agent.learn, errors=checkify.index_checks)
    error, _ = contracts.quick(checked)(state.agent, key, this.rollout)
    error.throw()
    checked = checkify.checkify(this.agent.act, errors=checkify.index_checks)
    error, _ = contracts.quick(checked)(state.agent, key, state.carry, state.timestep)
    error.throw()


@pytest.mark.slow
@learners
def test_ten_updates_under_vmap_are_ten_updates_alone(name):
    """In float64, where rounding cannot grow far, vmapped runs and single ones agree after ten updates."""
    this = case(name)
    with jax.enable_x64(True):
        venv = vectorize(in_float64(this.env), ROWS[name].num_envs)
        trainer = make_trainer(this.agent, venv, ROWS[name].rollout_length)

        def run(key):
            state = trainer.init(key)
            agent, carry = wide(state.agent), wide(state.carry)
            return jax.lax.scan(lambda s, _: trainer.step(s), state._replace(agent=agent, carry=carry), length=10)[0]

        keys = jax.random.split(jax.random.key(0), 3)
        together = contracts.quick(jax.vmap(run))(keys)
        alone = contracts.quick(run)
        for i in range(3):
            one, other = lane(together, i), alone(keys[i])
            # (A buffer holds numbers as bits, also those that are rounded.)
            pair = (s._replace(agent=contracts.without_memory(s.agent)) for s in (one, other))
            contracts.assert_close(*pair, 1e-8)


def wide(state):
    """All numbers in float64, but for a buffer's: it was made for what it will be given."""
    new = jax.tree.map(lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)
    fields = getattr(state, "_fields", ())
    new = new._replace(agent=wide(state.agent)) if "agent" in fields else new
    return new._replace(buffer=state.buffer) if "buffer" in fields else new


def in_float64(env: Environment) -> Environment:
    def step(*args):
        state, obs, reward, terminated = env.step(*args)
        return state, obs, reward.astype(float), terminated

    return transforms._map_features(
        env._replace(step=step), lambda x: x.astype(float) if x.dtype.kind == "f" else x, env.observation_space
    )
