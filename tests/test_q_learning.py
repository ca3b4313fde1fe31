"""Tabular Q-learning: its update by hand, and the exact optimum on random worlds."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs, exact, loop
from jaxrl.agents.tabular import q_learning
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Observation, Rollout, Transition
from jaxrl.vectorize import vectorize


def steps_of(rows):
    """A rollout [T, N] of (state, action, reward, terminated, next state, legal actions there)."""
    columns = [np.array([[row[i] for row in time] for time in rows]) for i in range(6)]
    state, action, reward, terminated, next_state, legal = (jnp.asarray(x) for x in columns)
    no = jnp.zeros_like(terminated)
    return Rollout(
        Transition(
            Observation(state, legal), no, action, reward.astype(jnp.float32), terminated, no, ~no,
            Observation(next_state, legal), (),
        ),
        (),
    )  # fmt: skip


def learner(**config):
    agent = q_learning.q_learning(Discrete(4), Discrete(2), q_learning.Config(discount=0.5, **config))
    return agent, agent.init(jax.random.key(0), None)


ANY, FIRST = [True, True], [True, False]


def test_updates_by_hand():
    """A step of one row; a termination; an illegal action that seems splendid; the next step sees the change."""
    agent, state = learner(learning_rate=0.5)
    state = state._replace(values=jnp.array([[0.0, 0.0], [4.0, 1e6], [0.0, 8.0], [0.0, 0.0]]))
    rollout = steps_of([[(0, 0, 1.0, False, 1, FIRST)], [(3, 1, 2.0, True, 1, ANY)], [(3, 0, 0.0, False, 0, ANY)]])
    after, _ = agent.learn(state, jax.random.key(0), rollout)
    np.testing.assert_allclose(after.values, [[1.5, 0], [4, 1e6], [0, 8], [0.5 * 0.5 * 1.5, 1.0]])


def test_rows_that_meet_move_as_if_in_a_row():
    """Two rows with one target in one step: the move of two updates; with two targets: towards their mean."""
    agent, state = learner(learning_rate=0.5)
    same = steps_of([[(0, 0, 1.0, True, 1, ANY), (0, 0, 1.0, True, 1, ANY), (1, 0, 1.0, True, 1, ANY)]])
    np.testing.assert_allclose(agent.learn(state, jax.random.key(0), same)[0].values[:2, 0], [0.75, 0.5])
    other = steps_of([[(0, 0, 1.0, True, 1, ANY), (0, 0, 3.0, True, 1, ANY)]])
    after = agent.learn(state, jax.random.key(0), other)[0]
    np.testing.assert_allclose(after.values[0, 0], 0.75 * 2.0)
    np.testing.assert_array_equal(after.visits, [[2, 0], [0, 0], [0, 0], [0, 0]])


def test_optimism_is_where_it_begins():
    np.testing.assert_array_equal(learner(initial_value=7.0)[1].values, 7)


@pytest.mark.parametrize("spaces", [(Box(0.0, 1.0, (2,)), Discrete(2)), (Discrete(4), Box(0.0, 1.0, (2,)))])
def test_spaces_without_a_table_are_refused(spaces):
    with pytest.raises(UsageError, match="discrete"):
        q_learning.q_learning(*spaces)


@pytest.mark.parametrize("seed", range(3))
def test_it_reaches_the_optimum(seed):
    """On random worlds of 10 states and 3 actions every value is within 0.1 of Q*, found by dynamic programming.

    The control, terminations bootstrapped like any other step, is off by more than 0.5.
    """
    env = envs.make("random_mdp", seed=seed)
    config = q_learning.Config(learning_rate=1.0, learning_rate_decay=0.1, discount=0.9, epsilon=1.0)
    agent = q_learning.q_learning(env.observation_space, env.action_space, config)
    best = exact.value_iteration(env.model(env.params), 0.9)

    def optimum_of(agent):
        trainer = loop.make_trainer(agent, vectorize(env, 256), 32)
        return contracts.quick(lambda key: loop.train(trainer, 400)(key)[0].agent.values)(jax.random.key(seed))

    np.testing.assert_allclose(optimum_of(agent), best, atol=0.1)
    if seed == 0:

        def endless(state, key, rollout):
            steps = rollout.steps._replace(terminated=jnp.zeros_like(rollout.steps.terminated))
            return agent.learn(state, key, rollout._replace(steps=steps))

        assert np.abs(np.asarray(optimum_of(agent._replace(learn=endless))) - best).max() > 0.5
