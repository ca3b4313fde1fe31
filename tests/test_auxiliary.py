"""Auxiliary tasks: what they should predict; they reach the encoder, and without weight they change nothing."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import agents, envs, loop, networks
from jaxrl.agents import auxiliary, ppo
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Environment, Observation, Transition
from jaxrl.vectorize import vectorize

EVERY = ("reward", "reconstruction", "control")


def steps(features, next_features, **others):
    """Transitions [T, 1] of these features [T, 1, ...]."""
    shape = features.shape[:2]
    no, one = jnp.zeros(shape, bool), jnp.ones(shape, bool)
    filled = {"reward": jnp.zeros(shape), "terminated": no, "truncated": no, "valid": one} | others
    return Transition(Observation(features), no, None, next_obs=Observation(next_features), extras=(), **filled)


def test_rewards_are_told_by_their_sign():
    task = auxiliary.reward(envs.make("catch"))
    seen = steps(jnp.zeros((3, 1, 2)), jnp.zeros((3, 1, 2)), reward=jnp.array([[-0.5], [0.0], [7.0]]))
    targets = task.targets(seen, None, None, 0.9)
    np.testing.assert_array_equal(targets, [[0], [1], [2]])
    logits = jnp.log(jnp.array([[0.2, 0.3, 0.5]] * 3))[:, None]
    np.testing.assert_allclose(task.loss(logits, None, targets), -np.log([[0.2], [0.3], [0.5]]), rtol=1e-5)


def test_control_values_are_discounted_changes():
    """Of a vector, feature by feature: cut at a limit with the best action's value behind it, nothing at an end."""
    env = Environment(None, None, Box(0.0, 1.0, (2,)), Discrete(2))
    task = auxiliary.control(env)
    path = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0], [4.0, 2.0]])[:, None]
    flags = {"truncated": jnp.array([[False], [True], [False], [False]])}
    flags["terminated"] = jnp.array([[False], [False], [False], [True]])
    ahead = jnp.arange(16.0).reshape(4, 1, 4)  # of actions 0 and 1, two features each
    targets = task.targets(steps(path[:-1], path[1:], **flags), None, ahead, 0.5)
    expected = [[1 + 0.5 * 3, 0 + 0.5 * 5.5], [0 + 0.5 * 6, 2 + 0.5 * 7], [1 + 0.5 * 4, 0], [4, 0]]
    np.testing.assert_allclose(targets[:, 0], expected)
    values = jnp.array([[[1.0, 2.0, 3.0, 4.0]]])
    np.testing.assert_allclose(task.loss(values, jnp.array([[1]]), jnp.array([[[1.0, 1.0]]])), 0.25 * (4 + 9))


def test_pixel_control_averages_cells():
    """A picture of 8 x 6 has 4 x 4 cells: one changed pixel of two channels counts in its own only."""
    env = Environment(None, None, Box(0.0, 1.0, (8, 6, 2)), Discrete(3))
    task = auxiliary.control(env)
    after = jnp.zeros((1, 1, 8, 6, 2)).at[0, 0, 3, 5, 1].set(1.0)
    seen = steps(jnp.zeros_like(after), after, terminated=jnp.ones((1, 1), bool))
    targets = np.asarray(task.targets(seen, None, jnp.zeros((1, 1, task.num_outputs)), 0.9)).reshape(4, 4)
    assert task.num_outputs == 3 * 16 and np.flatnonzero(targets).tolist() == [7]
    np.testing.assert_allclose(targets[1, 3], 0.5 / 2)  # a cell of 2 rows and 1 column


def trained(num_updates, coefficient=1.0, names=EVERY, settings=Settings((16,))):
    """(agent's state, metrics of every update) of PPO on catch."""
    env = agents.adapt("ppo", envs.make("catch"))
    config = ppo.Config(auxiliary=names, auxiliary_coefficient=coefficient, learning_rate=3e-3)
    trainer = loop.make_trainer(agents.make("ppo", env, settings, config), vectorize(env, 16), 16)
    state = contracts.quick(trainer.init)(jax.random.key(0))
    run = contracts.quick(lambda state: jax.lax.scan(lambda s, _: trainer.step(s), state, length=num_updates))
    state, metrics = run(state)
    return state.agent, metrics


def test_predictions_improve():
    """Catch tells by where the ball is what comes next: in 40 updates the loss falls below a half of the first."""
    _, metrics = trained(40)
    loss = np.asarray(metrics["auxiliary_loss"].total / metrics["auxiliary_loss"].count)
    assert loss[-5:].mean() < 0.5 * loss[0] and np.isfinite(loss).all()


def test_without_weight_they_change_nothing():
    """The policy's and the value's parameters are those of a PPO without tasks."""
    weightless, _ = trained(2, 0.0)
    alone, _ = trained(2, 0.0, ())
    kept = {name: part for name, part in weightless.params["params"].items() if name != "auxiliary"}
    contracts.assert_close(kept, alone.params["params"], 1e-5)


@pytest.mark.parametrize("settings", [Settings((8, 8)), Settings((8,), cell="gru", cell_size=4)])
def test_gradients_reach_the_encoder(settings):
    """Of the tasks' loss alone: every layer below the policy's last hidden one, not its outputs or the value."""
    env = agents.adapt("ppo", envs.make("catch"))
    task = auxiliary.tasks(EVERY, env)
    network = networks.actor_critic(settings, 3, num_auxiliary=task.num_outputs)
    features = jax.random.normal(jax.random.key(0), (4, 1, 50))
    seen = steps(features, features + 1)
    params = network.init(jax.random.key(1), jax.tree.map(lambda x: x[0], seen.obs))

    def loss(params):
        out = network.unroll(params, network.begin(1), seen.obs, seen.first)[1]
        targets = jax.lax.stop_gradient(task.targets(seen, out[-1], out[-1], 0.9))
        return jnp.mean(task.loss(out[-1], jnp.zeros((4, 1), jnp.int32), targets))

    gradient = jax.jit(jax.grad(loss))(params)
    heads = gradient["module"]["params"] if settings.cell else gradient["params"]
    encoder = (gradient["encoder"], gradient["cell"]) if settings.cell else heads["actor"]["kernels"][:-1]
    assert all(np.any(leaf) for leaf in jax.tree.leaves((encoder, heads["auxiliary"])))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((heads["actor"]["kernels"][-1], heads["critic"])))


def test_bad_tasks_are_refused():
    with pytest.raises(UsageError, match="reward"):
        auxiliary.tasks(("rewards",), envs.make("catch"))
    with pytest.raises(UsageError, match="auxiliary is control, which needs discrete actions"):
        auxiliary.tasks(("control",), envs.make("quadratic"))
