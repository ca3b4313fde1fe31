"""The ring: a five-state world whose values tell a right bootstrap from each of the usual wrong ones.

State i -> i + 1 mod 5, reward 1 for leaving state 0, discount 0.9, uniform start, truncated after 3 steps. Every agent
that estimates values learns it once as it is and once per mistake, which is made by what stands between it and the
world. Each must arrive at its own row of the table, so the first row cannot be reached by luck.
"""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import agents, envs, loop, networks, spaces, transforms, trees
from jaxrl.agents import dqn, ppo, q_learning
from jaxrl.buffers.uniform import uniform
from jaxrl.types import VecEnv
from jaxrl.vectorize import vectorize

VALUES = np.array(
    [
        [2.442, 1.602, 1.780, 1.978, 2.198],  # right: bootstraps the final observation
        [1.084, 0.141, 0.234, 0.390, 0.651],  # truncation treated as termination
        [2.584, 1.641, 1.734, 1.890, 2.151],  # bootstraps the observation after the reset
        [2.659, 1.435, 1.674, 1.953, 2.279],  # bootstraps the observation before the limit
        [1.911, 1.220, 1.307, 1.436, 1.627],  # trains on the extra row of a reset in the next step
    ]
)
RIGHT, AS_TERMINATION, AFTER_RESET, BEFORE_LIMIT, EXTRA_ROW = range(5)
LINEAR = networks.Settings(hidden=())


def test_the_right_row_is_the_closed_form():
    np.testing.assert_allclose(VALUES[RIGHT], 0.9 ** ((5 - np.arange(5)) % 5) / (1 - 0.9**5), atol=5e-4)


def mistaken(venv: VecEnv) -> VecEnv:
    """The same worlds, seen through the mistake that the task (int32 []) names."""

    def reset(key, task):
        state, timestep = venv.reset(key, ())
        return (state, timestep, jnp.zeros(venv.num_rows, bool)), timestep

    def step(key, before, action, task):
        inner, last, waits = before
        moved, timestep = venv.step(key, inner, action, ())
        ended = timestep.terminated | timestep.truncated
        as_termination = timestep._replace(terminated=ended)
        after_reset = timestep._replace(final_obs=timestep.obs)
        before_limit = timestep._replace(final_obs=trees.where(timestep.truncated, last.obs, timestep.final_obs))
        held = timestep._replace(obs=timestep.final_obs, first=jnp.zeros_like(ended))
        row = last._replace(reward=jnp.zeros_like(last.reward), truncated=jnp.zeros_like(ended), final_obs=last.obs)
        extra_row = trees.where(waits, row, held)
        seen = [timestep, as_termination, after_reset, before_limit, extra_row]
        seen = jax.tree.map(lambda *options: jnp.stack(options)[task], *seen)
        waits_now = ended & ~waits & (task == EXTRA_ROW)
        inner = trees.where(waits, inner, moved)
        kept = trees.where(waits_now | (task != EXTRA_ROW), timestep, seen)
        return (inner, kept, waits_now), seen

    return venv._replace(reset=reset, step=step, params=jnp.int32(0))


def index(env):
    return transforms._map_features(env, lambda x: jnp.argmax(x).astype(jnp.int32), spaces.Discrete(5))


def with_ppo():
    config = ppo.Config(
        num_epochs=2, num_minibatches=1, discount=0.9, trace_decay=0.0, learning_rate=0.05, total_updates=400,
        value_clip_range=float("inf"), max_gradient_norm=float("inf"),
    )  # fmt: skip
    network = networks.actor_critic(LINEAR, 1)
    env = envs.make("ring")
    return (
        env,
        ppo.ppo(network, env.action_space, config),
        lambda state: network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][1],
    )


def with_dqn():
    config = dqn.Config(
        discount=0.9, learning_rate=0.05, total_updates=400, gradient_steps=3 / 3072, target_rate=0.2,
        max_gradient_norm=float("inf"), huber_threshold=float("inf"),
    )  # fmt: skip
    network = networks.q_network(LINEAR, 1)
    env, buffer = envs.make("ring"), uniform(3072 * 32, 1024)
    return (
        env,
        dqn.dqn(network, env.action_space, config, buffer),
        lambda state: network.step(state.params, (), jnp.eye(5), jnp.zeros(5, bool))[1][:, 0],
    )


def with_q_learning():
    config = q_learning.Config(learning_rate=1.0, learning_rate_decay=0.1, discount=0.9)
    env = index(envs.make("ring"))
    return env, q_learning.q_learning(env.observation_space, env.action_space, config), lambda state: state.values[:, 0]


LEARNERS = {"ppo": with_ppo, "dqn": with_dqn, "q_learning": with_q_learning}
WITHOUT_VALUES = {"random"}


def test_every_algorithm_with_values_is_on_the_ring():
    assert set(LEARNERS) | WITHOUT_VALUES == set(agents.names())


@pytest.mark.parametrize("name", LEARNERS)
def test_values_bootstrap_from_what_was_reached(name):
    """Right as it is, to 0.02; each mistake leads to values of its own, which random starts blur to 0.04."""
    env, agent, values = LEARNERS[name]()
    trainer = loop.make_trainer(agent, mistaken(vectorize(env, 256)), 12)

    def learn(task):
        state = trainer.init(jax.random.key(0))._replace(task=task)
        return values(jax.lax.scan(lambda s, _: (trainer.step(s)[0], None), state, length=400)[0].agent)

    learnt = np.asarray(contracts.quick(jax.vmap(learn))(jnp.arange(5)))
    np.testing.assert_allclose(learnt[RIGHT], VALUES[RIGHT], atol=0.02)
    np.testing.assert_allclose(learnt, VALUES, atol=0.04)
    apart = np.abs(VALUES[:, None, :2] - VALUES[None, :, :2]).max(-1)[~np.eye(5, dtype=bool)]
    assert apart.min() > 2 * 0.04
