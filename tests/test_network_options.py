"""Options of any network: precision, microbatches and batch normalisation leave the mathematics what it is."""

import functools

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrl
from jaxrl import agents, batch_norm, envs, loop, losses, network_transforms, networks, trees, value_networks
from jaxrl.agents import dqn
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.types import Network, Observation
from jaxrl.vectorize import vectorize

TIME, ROWS = 5, 6
GRU, LSTM = Settings((8,), cell="gru", cell_size=4), Settings((8,), cell="lstm", cell_size=4)
NETWORKS = {
    "feed-forward": (networks.actor_critic, (2, 1), Settings((8, 8))),
    "layer norm": (networks.actor_critic, (2,), Settings((8,), normalisation="layer")),
    "batch norm": (networks.actor_critic, (2,), Settings((8,), normalisation="batch")),
    "gru": (networks.actor_critic, (2,), GRU),
    "lstm": (networks.actor_critic, (2,), LSTM),
    "convolution": (networks.actor_critic, (2,), Settings((8,), channels=(2,))),
    "dueling": (value_networks.q_network, (3, 0, value_networks.AGGREGATIONS["mean"]), Settings((8, 8))),
    "noisy, distributional": (value_networks.q_network, (3, 4, None, 0.5), Settings((8, 8))),
    "implicit": (value_networks.q_network, (3, 4, None, None, value_networks.ImplicitNetwork), Settings((8, 8))),
}
every = pytest.mark.parametrize("name", NETWORKS)


def episode(name, **options):
    """(network, params, obs [T, N, ...], first [T, N]); the same for any options."""
    constructor, sizes, settings = NETWORKS[name]
    keys = jax.random.split(jax.random.key(0), 3)
    if name == "convolution":  # of pixels, which are integers
        features = jax.random.randint(keys[0], (TIME, ROWS, 4, 5, 2), 0, 9, jnp.uint8)
    else:
        features = jax.random.normal(keys[0], (TIME, ROWS, 3))
    obs, first = Observation(features), jax.random.bernoulli(keys[1], 0.3, (TIME, ROWS)).at[0].set(True)
    network = constructor(settings._replace(**options), *sizes)
    params = contracts.quick(network.init)(keys[2], jax.tree.map(lambda x: x[0], obs))
    return network, jax.tree.map(lambda x: x + 0.01, params), obs, first


def learnt_from(name, **options):
    """(carries, out, gradient of a loss) of an unrolled network, with noise where there is any."""
    network, params, obs, first = episode(name, **options)

    def loss(params):
        carries, out = network.unroll(params, network.begin(ROWS), obs, first, jax.random.key(3))
        return sum(jnp.mean(jnp.sin(x)) for x in jax.tree.leaves(out)), (carries, out)

    gradient, (carries, out) = contracts.quick(jax.grad(loss, has_aux=True))(params)
    return carries, out, gradient


def products(jaxpr):
    """The dtypes of all matrix products and convolutions of a program."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found |= {v.aval.dtype for v in equation.invars}
        for part in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(part, "jaxpr", part)
            found |= products(inner) if hasattr(inner, "eqns") else set()
    return found


# --- precision -----------------------------------------------------------------------------------------------------


@every
def test_bfloat16_is_close_to_float32(name):
    """Every product is one of bfloat16; outputs, carries, gradients and parameters are float32, and near the others."""
    network, params, obs, first = episode(name, precision="bfloat16")
    key = jax.random.key(3)
    for run, *seen in ((network.unroll, obs, first), (network.step, *jax.tree.map(lambda x: x[0], (obs, first)))):
        program = jax.make_jaxpr(lambda p, *seen, run=run: run(p, network.begin(ROWS), *seen, key))(params, *seen)
        assert products(program.jaxpr) == {jnp.dtype(jnp.bfloat16)}
    low, exact = learnt_from(name, precision="bfloat16"), learnt_from(name)
    assert {leaf.dtype for leaf in jax.tree.leaves((low, params))} == {jnp.dtype(jnp.float32)}
    contracts.assert_close(low[:2], exact[:2], 0.05)
    vectors = [np.asarray(trees.ravel(batch_norm.without(gradient))[0]) for _, _, gradient in (low, exact)]
    assert np.linalg.norm(vectors[0] - vectors[1]) < 0.05 * np.linalg.norm(vectors[1])
    assert any(np.any(a != b) for a, b in zip(contracts.plain(low), contracts.plain(exact), strict=True))


def test_any_network_can_be_in_another_precision():
    """One that is not made here, with integers among its inputs and a carry: only its floats are cast."""

    def step(params, carry, obs, first, key=None):
        number, table = obs
        assert params.dtype == table.dtype == jnp.bfloat16 and number.dtype == jnp.int32 and carry.dtype == jnp.float32
        return carry + 1, {"out": table[number] @ params, "chosen": number}

    plain = Network(None, None, step, step)
    network = network_transforms.in_precision(plain, jnp.bfloat16)
    carry, out = network.step(jnp.ones((3,)), jnp.zeros(2), (jnp.arange(2), jnp.ones((2, 3))), None)
    assert carry.dtype == out["out"].dtype == jnp.float32 and out["chosen"].dtype == jnp.int32


# --- microbatches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("implicit", "batch norm")])
@pytest.mark.parametrize("size", [2, 6])
def test_slices_are_one_batch(name, size):
    """Carries, outputs and gradients; a batch of that many rows goes whole."""
    contracts.assert_close(learnt_from(name, microbatch_size=size), learnt_from(name), 1e-5)


def test_rows_that_do_not_divide_are_refused():
    network, params, obs, first = episode("gru", microbatch_size=4)
    with pytest.raises(UsageError, match="microbatch_size is 4, but must divide a batch of 6 rows"):
        network.unroll(params, network.begin(ROWS), obs, first)


def trained(algorithm, env, settings, config, num_updates=3):
    """The parameters after a few updates."""
    adapted = agents.adapt(algorithm, env)
    config = agents.default_config(algorithm)._replace(**config)
    trainer = loop.make_trainer(agents.make(algorithm, adapted, settings, config), vectorize(adapted, 8), 6)
    state = contracts.quick(trainer.init)(jax.random.key(0))
    step = contracts.quick(trainer.step)
    for _ in range(num_updates):
        state, _ = step(state)
    return state.agent.params


_PPO = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 1e-3}
LEARNERS = {
    "ppo": ("ppo", "random_mdp", Settings((8,)), _PPO),
    "ppo, continuous": ("ppo", "quadratic", Settings((8,)), _PPO),
    "ppo, gru": ("ppo", "t_maze", GRU, _PPO | {"chunk_length": 3}),
    "dqn": (
        "dqn", "random_mdp", Settings((8,)),
        {"batch_size": 24, "learning_starts": 24, "buffer_size": 96, "gradient_steps": 0.1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEARNERS)
def test_agents_learn_the_same_from_microbatches(name):
    """Parameters after three updates are those of whole batches to 1e-5, and have moved far more than that."""
    algorithm, world, settings, config = LEARNERS[name]
    env = envs.make(world)
    whole = trained(algorithm, env, settings, config)
    parts = trained(algorithm, env, settings._replace(microbatch_size=4), config)
    contracts.assert_close(parts, whole, 1e-5)
    start = trained(algorithm, env, settings, config, 0)
    assert max(np.abs(a - b).max() for a, b in zip(contracts.plain(start), contracts.plain(whole), strict=True)) > 1e-3


def test_slices_need_less_memory():
    """The gradient of 4096 rows through three wide layers: an eighth at a time, in less than half the space."""

    def space(**options):
        network = networks.actor_critic(Settings((256, 256, 256), **options), 2)
        obs, first = Observation(jnp.zeros((4096, 8))), jnp.ones(4096, bool)
        params = jax.eval_shape(network.init, jax.random.key(0), obs)

        def loss(params):
            outputs, value = network.step(params, (), obs, first)[1]
            return jnp.mean(outputs**2) + jnp.mean(value**2)

        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert space(microbatch_size=512) < 0.5 * space()


# --- batch normalisation -------------------------------------------------------------------------------------------


def reference(x, moments):
    """By autodiff: normalised by the batch, then corrected by constants to the running moments (Ioffe 2017)."""
    mean, deviation = jnp.mean(x, 0), jnp.sqrt(jnp.var(x, 0) + 1e-5)
    running = jnp.sqrt(moments.variance + 1e-5)
    correction = jax.lax.stop_gradient((deviation / running, (mean - moments.mean) / running))
    return (x - mean) / deviation * correction[0] + correction[1]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_its_gradient_is_that_of_the_batch(axis):
    """Values are those of the running moments, the gradient is autodiff's; and of the moments it is their distance."""
    keys = jax.random.split(jax.random.key(0), 4)
    x, weight = jax.random.normal(keys[0], (50, 3)) * 2 + 1, jax.random.normal(keys[1], (50, 3))
    moments = batch_norm.Moments(jax.random.normal(keys[2], (3,)), 1 + jax.random.uniform(keys[3], (3,)), jnp.ones(()))
    turn = (lambda x: x.T) if axis == 0 else lambda x: x

    def loss(x, moments):
        return jnp.sum(jnp.sin(turn(batch_norm.normalise(turn(x), moments, axis))) * weight)

    expected = jax.grad(lambda x: jnp.sum(jnp.sin(reference(x, moments)) * weight))(x)
    by_x, by_moments = jax.grad(loss, (0, 1))(x, moments)
    np.testing.assert_allclose(turn(batch_norm.normalise(turn(x), moments, axis)), reference(x, moments), atol=1e-5)
    np.testing.assert_allclose(by_x, expected, atol=1e-5)
    np.testing.assert_allclose(by_moments.mean, moments.mean - x.mean(0), atol=1e-5)
    np.testing.assert_allclose(by_moments.variance, moments.variance - x.var(0), atol=1e-4)
    assert by_moments.num_batches == 1


def test_running_moments_follow_the_batches():
    """The first steps average what was seen; other parameters move as if there were none; microbatches count as one."""
    start = {"moments": batch_norm.begin(2), "weight": jnp.ones(2)}
    batches = [jax.random.normal(jax.random.key(i), (8, 2)) + i for i in range(3)]
    direction = optax.scale_by_adam()

    def run(num_slices):
        params, state = start, direction.init(trees.ravel(start)[0])
        for x in batches:

            def loss(p, x=x):
                out = [batch_norm.normalise(part, p["moments"], 1) for part in jnp.split(x, num_slices)]
                return jnp.mean(jnp.concatenate(out) * p["weight"]), ()

            params, state, _ = losses.gradient_step(loss, params, state, direction, 0.1, jnp.inf)
        return params

    for num_slices in (1, 2):
        params = run(num_slices)
        variances = [np.mean([part.var(0) for part in np.split(x, num_slices)], 0) for x in batches]
        np.testing.assert_allclose(params["moments"].mean, np.mean([x.mean(0) for x in batches], 0), atol=1e-5)
        np.testing.assert_allclose(params["moments"].variance, np.mean(variances, 0), atol=1e-4)
        assert params["moments"].num_batches == 3 and np.all(np.abs(params["weight"] - 1) <= 0.31)


@functools.cache
def with_batch_norm():
    """A case of the contract table, and its state after three updates."""
    this = contracts.case("ppo, batch norm")
    return this, this.history[3]


def test_what_acts_is_what_is_learnt_from():
    """PPO's first ratio is 1, although its moments have moved; acting and evaluating move them no further."""
    this, state = with_batch_norm()
    is_moments = lambda node: isinstance(node, batch_norm.Moments)  # noqa: E731
    moments = [x for x in jax.tree.leaves(state.agent.params, is_leaf=is_moments) if is_moments(x)]
    assert len(moments) == 2 and all(m.num_batches == 12 and np.any(m.mean != 0) for m in moments)
    config = this.config._replace(num_epochs=1, num_minibatches=1, clip_range=1e-5)
    agent = agents.make("ppo", this.env, contracts.ROWS["ppo, batch norm"].network, config)
    rollout = this.roll(jax.random.key(0), state)[3]
    clipped = state.agent.config._replace(clip_range=jnp.float32(1e-5))
    after, metrics = contracts.quick(agent.learn)(state.agent._replace(config=clipped), jax.random.key(0), rollout)
    assert float(metrics["clip_fraction"].total) == 0
    assert contracts.differs(after.params, state.agent.params)


def test_target_networks_have_moments_of_their_own():
    """DQN's target follows the online network's moments at its own rate."""
    config = {"batch_size": 24, "learning_starts": 24, "buffer_size": 96, "target_rate": 1.0, "gradient_steps": 0.1}
    env = agents.adapt("dqn", envs.make("random_mdp"))
    agent = agents.make("dqn", env, Settings((8,), normalisation="batch"), dqn.Config(**config))
    trainer = loop.make_trainer(agent, vectorize(env, 8), 6)
    state, step = contracts.quick(trainer.init)(jax.random.key(0)), contracts.quick(trainer.step)
    for _ in range(3):
        state, _ = step(state)
    contracts.assert_close(state.agent.target, state.agent.params, 1e-6)


# --- learning ------------------------------------------------------------------------------------------------------


def last_returns(**options):
    """[S]: the mean return of PPO on CartPole in each of 8 seeds, over the last of 20,480 steps."""
    run = jaxrl.train("ppo", "cartpole", num_steps=20_480, num_seeds=8, seed=40, progress=False, **options)
    rows = run.metrics[run.metrics["updates"] > 60]
    return np.asarray([np.nanmean(rows["episode_return"][rows["seed"] == seed]) for seed in range(40, 48)])


@pytest.mark.slow
def test_bfloat16_learns_cartpole():
    """8 seeds had mean 499 and standard deviation 2.4, so that 4 standard errors lead to 495: at 450 a false alarm is
    less likely than one in a million. The control, a learning rate of 0, stays at 22 and must fail.
    """
    low = {"precision": "bfloat16"}
    assert last_returns(network=low).mean() > 450
    assert last_returns(network=low, config={"learning_rate": 0.0}).mean() < 50


@pytest.mark.slow
def test_batch_normalisation_learns_cartpole():
    """8 seeds had mean 476 and standard deviation 49: 4 standard errors lead to 406, and a false alarm at 400 is one in
    30,000 or less. Without a learning rate the moments alone move, which must fail.
    """
    normal = {"normalisation": "batch"}
    assert last_returns(network=normal).mean() > 400
    assert last_returns(network=normal, config={"learning_rate": 0.0}).mean() < 100
