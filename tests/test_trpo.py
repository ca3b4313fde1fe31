"""TRPO: the Fisher-vector product, conjugate gradients, the step inside of the trust region, and what it learns."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import ROWS, case

from jaxrl import agents, distributions, envs, loop, statistics, trees
from jaxrl.agents import normalisers, trpo
from jaxrl.networks import Settings, actor_critic
from jaxrl.spaces import Box, Discrete
from jaxrl.vectorize import vectorize

variants = pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name].algorithm == "trpo"])


def config_with(**values):
    """(as a state holds it, static)."""
    config = trpo.Config(**values)
    return trees.traced(config), config


@pytest.mark.parametrize("space", [Discrete(3), Box(-1.0, 1.0, (2,))], ids=["categorical", "Gaussian"])
def test_the_product_is_that_of_the_whole_fisher_matrix(space):
    """The mean over observations of E[grad log pi grad log pi^T], for a Gaussian in its closed form."""
    head = distributions.head(space)
    network = actor_critic(Settings((4,)), head.num_outputs, head.num_free)
    obs, first = jax.random.normal(jax.random.key(0), (6, 3)), jnp.zeros(6, bool)
    params = contracts.quick(network.init)(jax.random.key(1), obs)
    old, restore = trees.ravel(jax.tree.map(lambda x: x + 0.3 * jnp.sin(jnp.arange(x.size).reshape(x.shape)), params))

    def policy(vector):
        return head.distribution(network.step(restore(vector), (), obs, first)[1][0])

    def outputs(vector):
        return network.step(restore(vector), (), obs, first)[1][0]

    jacobian, out = contracts.quick(lambda p: (jax.jacobian(outputs)(p), outputs(p)))(old)  # [6, outputs, P]
    if isinstance(space, Discrete):
        p = jax.nn.softmax(out)
        inner = p[:, :, None] * jnp.eye(3) - p[:, :, None] * p[:, None, :]
    else:  # by the mean 1 / deviation^2, by the log deviation 2
        inner = jax.vmap(jnp.diag)(jnp.concatenate([jnp.exp(-2 * out[:, 2:]), jnp.full((6, 2), 2.0)], -1))
    fisher = np.asarray(jnp.einsum("nip,nij,njq->pq", jacobian, inner, jacobian) / 6)
    product = trpo.fisher_product(lambda p: jnp.mean(policy(old).kl_divergence(policy(p))), old, 0.25)
    found = np.asarray(contracts.quick(jax.vmap(product))(jnp.eye(old.size)))
    np.testing.assert_allclose(found, fisher + 0.25 * np.eye(old.size), atol=1e-5)
    assert np.abs(fisher).max() > 0.1


def test_conjugate_gradients_solve():
    """P different eigenvalues need P steps at most, and two need two; of nothing comes nothing."""
    base = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    b = jnp.asarray(np.random.default_rng(1).normal(size=12), jnp.float32)
    for eigenvalues, steps in ((np.linspace(0.5, 5, 12), 12), (np.repeat([1.0, 7.0], 6), 2)):
        matrix = jnp.asarray(base * eigenvalues @ base.T, jnp.float32)
        x = trpo.conjugate_gradient(lambda v, m=matrix: m @ v, b, steps)
        np.testing.assert_allclose(matrix @ x, b, atol=1e-3)
    np.testing.assert_array_equal(trpo.conjugate_gradient(lambda v: v, 0 * b, 5), 0 * b)
    np.testing.assert_allclose(trpo.conjugate_gradient(lambda v: 2 * v, b, 50), b / 2, rtol=1e-6)  # long after the end


def test_the_step_goes_to_the_edge_of_the_region():
    """A linear objective and a quadratic divergence: the best point inside of it, in one trial."""
    matrix, slope = jnp.array([[2.0, 0.5], [0.5, 1.0]]), jnp.array([1.0, -2.0])
    old = jnp.array([3.0, 4.0])
    hyper, config = config_with(kl_target=0.02, damping=0.0)

    def measure(p):
        size = (p - old) @ matrix @ (p - old)
        return slope @ p, size / 2 - size**2 / 1000  # a little below the quadratic, and so inside in spite of rounding

    new, metrics = trpo.trust_region_step(measure, old, hyper, config)
    way = np.linalg.solve(matrix, slope)
    np.testing.assert_allclose(new - old, way * np.sqrt(0.04 / (slope @ way)), rtol=1e-3)
    np.testing.assert_allclose(metrics["kl"], 0.02, rtol=1e-3)
    np.testing.assert_allclose(metrics["improvement"], slope @ (new - old), rtol=1e-4)
    assert metrics["step_share"] == 1


@pytest.mark.parametrize(("limit", "share"), [(0.9, 0.5**1), (0.3, 0.5**2), (0.0, 0.0)])
def test_the_step_shrinks_until_it_is_allowed(limit, share):
    """Beyond a share of the step the divergence is too large, or the objective, without slope, no better."""
    old, hyper_config = jnp.ones(3), config_with(kl_target=0.02, damping=0.0, shrink=0.5)
    full = np.sqrt(0.04 / 3)

    def divergence(p):
        return 0.4999 * jnp.sum((p - old) ** 2) + jnp.where(jnp.max(p - old) > limit * full + 1e-6, 1.0, 0.0)

    def objective(p):
        return jnp.sum(p) - jnp.where(jnp.max(p - old) > limit * full + 1e-6, 10.0, 0.0)

    for measure in (lambda p: (jnp.sum(p), divergence(p)), lambda p: (objective(p), 0.4999 * jnp.sum((p - old) ** 2))):
        new, metrics = trpo.trust_region_step(measure, old, *hyper_config)
        assert metrics["step_share"] == share
        np.testing.assert_allclose(new, old + share * full, rtol=1e-5)
        assert share or (metrics["kl"] == 0 and metrics["improvement"] == 0)
    if not share:
        np.testing.assert_array_equal(new, old)


@variants
def test_an_update_stays_in_the_region_and_improves(name):
    """What the metrics say of the divergence is found again from the parameters before and after."""
    this, accepted = case(name), 0
    state = this.history[1]

    @contracts.quick
    def divergence(before, after, rollout):
        obs = normalisers.normalise(before.normalisers, rollout.steps.obs)
        policies = [
            this.head.distribution(
                this.network.unroll(agent.params.actor, rollout.carry.actor, obs, rollout.steps.first)[1][0], obs.legal
            )
            for agent in (before, after)
        ]
        return jnp.mean(policies[0].kl_divergence(policies[1]))

    for i in range(3):
        rollout = this.roll(jax.random.key(i), state)[3]
        after, metrics = this.learn(state.agent, jax.random.key(0), rollout)
        kl, share = metrics["kl"].value(), metrics["step_share"].value()
        np.testing.assert_allclose(divergence(state.agent, after, rollout), kl, atol=1e-6)
        assert kl <= this.config.kl_target and (metrics["improvement"].value() > 0) == (share > 0)
        accepted += share > 0
        state = state._replace(agent=after)
    assert accepted >= 2


def reached(kl_target, num_updates=25):
    """[S]: the return in a masked walk, averaged over the last updates of 8 seeds."""
    env = envs.make("masked_walk", length=6)
    agent = agents.make("trpo", env, Settings((8,)), trpo.Config(kl_target=kl_target, num_minibatches=4))
    run = loop.train(loop.make_trainer(agent, vectorize(env, 16), 8), num_updates)
    keys = jax.random.split(jax.random.key(0), 8)
    values = contracts.quick(jax.vmap(lambda key: run(key)[1]["episode_return"]))(keys)
    return statistics.Mean(*(x[:, -5:] for x in values)).value(axis=-1)


def test_it_learns_where_the_mask_allows():
    """A masked walk of 6 steps returns 4 at best and 3 at random; the control, a region of no size, must fail."""
    assert reached(0.05).mean() > 3.8
    assert reached(0.0).mean() < 3.2
