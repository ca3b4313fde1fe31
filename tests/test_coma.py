"""COMA: what the critic reads, and an advantage that is what an action adds to the others' as they are."""

import jax
import jax.numpy as jnp
import numpy as np
from contracts import case, quick

import jaxrl
from jaxrl.agents import coma
from jaxrl.evaluate import evaluate
from jaxrl.types import Observation


def test_a_counterfactual_hides_the_own_action_alone():
    """The world, the number, the features, and the others' actions; the own one may be anything."""
    obs = Observation(jnp.arange(4.0).reshape(1, 2, 2))
    action = jnp.array([[2, 1]])
    read = coma.counterfactuals(obs, action, 3).features
    np.testing.assert_array_equal(read[0, 0], [0, 1, 2, 3, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(read[0, 1], [0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 1, 0, 0, 0])
    other = coma.counterfactuals(obs, jnp.array([[0, 1]]), 3).features
    np.testing.assert_array_equal(read[0, 0], other[0, 0])
    assert (read[0, 1] != other[0, 1]).any()


def test_the_actor_does_not_move_the_critic_nor_the_other_way_round():
    """Without rewards that differ between actions there is no advantage, so a fitted critic leaves the actor alone."""
    this = case("coma")
    state = this.history[3].agent
    flat = state._replace(
        params=state.params._replace(critic=jax.tree.map(jnp.zeros_like, state.params.critic)),
        target=jax.tree.map(jnp.zeros_like, state.target),
        optimiser=jax.tree.map(jnp.zeros_like, state.optimiser),
    )
    steps = this.rollout.steps._replace(reward=jnp.zeros_like(this.rollout.steps.reward))
    calm = flat._replace(config=flat.config._replace(entropy_coefficient=jnp.float32(0)))
    after, metrics = this.learn(calm, jax.random.key(0), this.rollout._replace(steps=steps))
    assert float(metrics["value_loss"].value()) == 0 and float(metrics["policy_loss"].value()) == 0
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), after.params, calm.params)
    assert max(jax.tree.leaves(moved)) < 1e-6


def test_the_team_finds_the_safe_agreement_of_the_climbing_game():
    """The greedy team earns 5 for both in every round, or more, where a random pair gets -2.1; in all of 8 seeds."""
    result = jaxrl.train(
        "coma", "climbing_game", num_steps=20_000, num_envs=16, rollout_length=25, num_seeds=8, seed=60, progress=False
    )
    play = quick(evaluate(result.parts.agent, result.parts.adapted, 4, 25))
    for seed in result.settings.seeds:
        assert (play(jax.random.key(0), result.agent_state(seed)).returns >= 5 * 25).all()
