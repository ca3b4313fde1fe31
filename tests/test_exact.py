"""Exact dynamic programming: published optima, closed forms, and brute force on small random worlds."""

import itertools

import numpy as np
import pytest

from jaxrl import envs, exact
from jaxrl.envs.probes import random_mdp, ring
from jaxrl.envs.tabular import tables
from jaxrl.errors import UsageError
from jaxrl.types import Model


def model_of(name: str, **options: object) -> Model:
    env = envs.make(name, **options)
    assert env.model is not None
    return env.model(env.params)


@pytest.mark.parametrize(
    ("name", "options", "discount", "horizon", "expected", "tolerance"),
    [
        ("frozen_lake", {"slippery": True}, 0.99, 100, 0.7402, 5e-5),
        ("frozen_lake", {"slippery": True, "layout": "8x8"}, 0.99, 200, 0.8630, 5e-5),
        ("frozen_lake", {}, 0.99, 100, 1.0, 1e-12),
        ("taxi", {}, 0.99, 200, 7.93, 1e-9),
        ("cliff_walking", {}, 0.99, 100, -13.0, 1e-9),
        ("gridworld", {}, 0.99, 100, 9.5, 1e-9),
    ],
)
def test_greedy_on_the_optimum_reaches_the_known_return(
    name: str, options: dict, discount: float, horizon: int, expected: float, tolerance: float
) -> None:
    model = model_of(name, **options)
    greedy = exact.value_iteration(model, discount).argmax(-1)
    mean = exact.start_value(model, exact.policy_value(model, greedy, horizon))
    assert mean == pytest.approx(expected, abs=tolerance)


def test_the_ring_has_its_closed_form() -> None:
    model = ring().model(())
    expected = [0.9 ** ((5 - i) % 5) / (1 - 0.9**5) for i in range(5)]
    np.testing.assert_allclose(exact.policy_value(model, np.zeros(5, int), discount=0.9), expected, rtol=1e-12)
    np.testing.assert_allclose(exact.value_iteration(model, 0.9)[:, 0], expected, rtol=1e-8)
    assert exact.start_value(model, expected) == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(exact.policy_value(model, np.zeros(5, int), horizon=3), [1, 0, 0, 1, 1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_value_iteration_finds_the_best_of_all_policies(seed: int) -> None:
    model = random_mdp(seed, num_states=4, num_actions=3).model(())
    policies = [np.array(policy) for policy in itertools.product(range(3), repeat=4)]
    values = np.array([exact.policy_value(model, policy, discount=0.9) for policy in policies])
    q = exact.value_iteration(model, 0.9)
    np.testing.assert_allclose(q.max(-1), values.max(0), atol=1e-8)
    np.testing.assert_array_equal(q.argmax(-1), policies[values.sum(-1).argmax()])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_policy_iteration_agrees_with_value_iteration(seed: int) -> None:
    """Two ways to one answer, also under a mask, which the second world's best policy would break."""
    model = random_mdp(seed).model(())
    legal = np.random.default_rng(seed).random((10, 3)) < 0.6
    legal[:, 0] = True
    for mask in (None, legal):
        np.testing.assert_allclose(
            exact.policy_iteration(model, 0.95, mask), exact.value_iteration(model, 0.95, mask), atol=1e-8
        )
    assert not np.allclose(
        exact.value_iteration(model, 0.95).max(-1), exact.value_iteration(model, 0.95, legal).max(-1)
    )


def test_policy_iteration_ends_where_actions_tie() -> None:
    """Every action of a corridor's far end is as good: the values are found, and all of them are greedy."""
    model = tables(np.ones((1, 3, 1)), [[[1]], [[1]]], [[[1.0]], [[2.0]]], False, [1.0, 0.0])
    q = exact.policy_iteration(model, 0.5)
    np.testing.assert_allclose(q, [[3.0] * 3, [4.0] * 3])
    np.testing.assert_allclose(exact.greedy(q), np.full((2, 3), 1 / 3))


def test_the_greedy_policy_shares_ties_and_shuns_illegal_actions() -> None:
    values = [[1.0, 1.0, 0.0, -np.inf], [-np.inf, -5.0, -np.inf, -np.inf]]
    np.testing.assert_allclose(exact.greedy(values), [[0.5, 0.5, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_allclose(
        exact.greedy(values, 0.3), [[0.35 + 0.1, 0.35 + 0.1, 0.1, 0], [0, 1, 0, 0]]
    )  # fmt: skip


def test_the_cliff_is_known_for_policies_that_explore() -> None:
    """Without a limit, at epsilon 0.1: -50.8 on the optimal values."""
    model = model_of("cliff_walking", max_steps=None)
    policy = exact.greedy(exact.value_iteration(model, 1.0), 0.1)
    assert exact.start_value(model, exact.policy_value(model, policy)) == pytest.approx(-50.8, abs=0.05)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("access_control", {}, 2.7476),
        ("cliff_walking", {"max_steps": None}, -1.0),  # whatever happens: nothing costs less
        ("dyna_maze", {}, 1 / 14),
        ("frozen_lake", {"slippery": False}, 1 / 6),
    ],
)
def test_average_rewards_that_are_known(name: str, options: dict, expected: float) -> None:
    """The best reward per step, and that the greedy policy earns it; a way walked again and again is periodic."""
    model = model_of(name, **options)
    best, values = exact.relative_value_iteration(model)
    assert best == pytest.approx(expected, abs=5e-5)
    assert exact.average_reward(model, exact.greedy(values)) == pytest.approx(best, abs=1e-7)
    assert values[0].max() == 0


def test_the_best_average_reward_is_that_of_the_best_policy() -> None:
    model = random_mdp(5, num_states=4, num_actions=2).model(())
    policies = [np.array(policy) for policy in itertools.product(range(2), repeat=4)]
    rates = [exact.average_reward(model, policy) for policy in policies]
    best, values = exact.relative_value_iteration(model)
    assert best == pytest.approx(max(rates), abs=1e-9)
    np.testing.assert_array_equal(values.argmax(-1), policies[int(np.argmax(rates))])
    first = exact.relative_value_iteration(model, legal=np.eye(2, dtype=bool)[np.zeros(4, int)])
    assert first[0] == pytest.approx(rates[0], abs=1e-9) and np.isneginf(first[1][:, 1]).all()


def test_an_average_reward_is_what_a_long_run_earns() -> None:
    """Over a long horizon from the start, of the ring, whose episodes do not end: 1 in 5 steps."""
    model = ring().model(())
    assert exact.average_reward(model, np.zeros(5, int)) == pytest.approx(0.2)
    model = model_of("access_control")
    policy = np.random.default_rng(0).dirichlet(np.ones(2), 44)
    longer = exact.start_value(model, exact.policy_value(model, policy, 3000) - exact.policy_value(model, policy, 2000))
    assert exact.average_reward(model, policy) == pytest.approx(longer / 1000, abs=1e-6)


def test_a_long_horizon_is_the_whole_future_and_a_short_one_is_counted() -> None:
    model = random_mdp(3).model(())
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 10)
    whole = exact.policy_value(model, policy, discount=0.95)
    np.testing.assert_allclose(exact.policy_value(model, policy, 1000, 0.95), whole, atol=1e-10)
    once = (np.asarray(model.probability) * model.reward).sum(-1)
    np.testing.assert_allclose(exact.policy_value(model, policy, 1), (policy * once).sum(-1))
    np.testing.assert_array_equal(exact.policy_value(model, policy, 0), np.zeros(10))
    mixed = exact.policy_value(model, np.eye(3)[np.ones(10, int)], discount=0.95)
    np.testing.assert_allclose(mixed, exact.policy_value(model, np.ones(10, int), discount=0.95))


def test_a_simulated_mean_agrees() -> None:
    """Monte Carlo in plain numpy, straight from the tables: within four standard errors."""
    model, generator = random_mdp(4).model(()), np.random.default_rng(1)
    policy = generator.integers(3, size=10)
    returns = np.zeros(4000)
    for episode in range(returns.size):
        state = generator.choice(10, p=model.start)
        for _ in range(8):
            row = (state, policy[state])
            outcome = generator.choice(3, p=model.probability[row])
            returns[episode] += model.reward[row][outcome]
            if model.terminated[row][outcome]:
                break
            state = model.next_state[row][outcome]
    expected = exact.start_value(model, exact.policy_value(model, policy, 8))
    assert abs(returns.mean() - expected) < 4 * returns.std() / np.sqrt(returns.size)


def test_illegal_actions_count_for_nothing() -> None:
    model = tables(np.ones((1, 2, 1)), 0, [[[1.0], [50.0]]], False, [1.0])
    np.testing.assert_allclose(exact.value_iteration(model, 0.5, legal=[[True, False]]), [[2.0, -np.inf]])
    np.testing.assert_allclose(exact.value_iteration(model, 0.5), [[51.0, 100.0]])


def test_what_has_no_finite_value_is_refused() -> None:
    model = tables(np.ones((1, 1, 1)), 0, 1.0, False, [1.0])
    with pytest.raises(UsageError, match="expected a discount below 1, not 1.0"):
        exact.value_iteration(model, 1.0, max_sweeps=50)
    with pytest.raises(UsageError, match="expected a horizon, or a discount below 1"):
        exact.policy_value(model, np.zeros(1, int))
    assert exact.policy_value(model, np.zeros(1, int), horizon=7).tolist() == [7.0]
    apart = tables(np.ones((1, 1, 1)), [[[0]], [[1]]], [[[0.0]], [[1.0]]], False, [0.5, 0.5])
    with pytest.raises(UsageError, match="expected that it can return to one state from all"):
        exact.average_reward(apart, np.zeros(2, int))
    with pytest.raises(UsageError, match="expected that every state can be reached again"):
        exact.relative_value_iteration(apart, max_sweeps=50)
    with pytest.raises(UsageError, match="still improves after 0 rounds"):
        exact.policy_iteration(model, 0.5, max_rounds=0)
