"""Returns: identities, exact independence of episodes, and a float64 forward-view oracle for every kernel."""

import functools

import jax
import numpy as np
import pytest

from jaxrl import returns

DISCOUNT, DECAY, N_STEPS = 0.9, 0.8, 3
T, N = 8, 6


def every_kernel(batch, discount=DISCOUNT, decay=DECAY, max_rho=1.2, max_c=0.9):
    """All kernels on one batch: dict of [T, N]."""
    ends = batch["terminated"], batch["truncated"]
    rewards, values, next_values, q = (batch[k] for k in ("rewards", "values", "next_values", "action_values"))
    valid, ratios = batch["valid"], batch["ratios"]
    advantages, targets = returns.gae(rewards, values, next_values, *ends, discount, decay, valid)
    v_advantages, v_targets = returns.vtrace(
        rewards, values, next_values, ratios, *ends, discount, decay, max_rho=max_rho, max_c=max_c, valid=valid
    )
    return {
        "discounted_returns": returns.discounted_returns(rewards, next_values, *ends, discount, valid),
        "n_step_returns": returns.n_step_returns(rewards, next_values, *ends, discount, N_STEPS, valid),
        "lambda_returns": returns.lambda_returns(rewards, next_values, *ends, discount, decay, valid),
        "gae_advantages": advantages,
        "gae_targets": targets,
        "vtrace_advantages": v_advantages,
        "vtrace_targets": v_targets,
        "retrace": returns.retrace(rewards, q, next_values, ratios, *ends, discount, decay, valid),
    }


KERNELS = jax.jit(every_kernel)
EXACT = jax.jit(functools.partial(every_kernel, discount=0.5, decay=0.5, max_rho=1.0, max_c=1.0))
GAE, VTRACE, RETRACE = jax.jit(returns.gae), jax.jit(returns.vtrace), jax.jit(returns.retrace)
LAMBDA_RETURNS, DISCOUNTED = jax.jit(returns.lambda_returns), jax.jit(returns.discounted_returns)
N_STEP = jax.jit(returns.n_step_returns, static_argnums=5)


def random_batch(seed, num_steps=T, num_rows=N, end_rate=0.2):
    """Random data and flags [T, N]; the value of a state is the same from either side of a step within an episode."""
    rng = np.random.default_rng(seed)
    shape = num_steps, num_rows
    terminated, truncated = rng.random(shape) < end_rate, rng.random(shape) < end_rate
    values, reached = rng.normal(size=shape), rng.normal(size=shape)
    ended = terminated | truncated
    following = np.concatenate([values[1:], reached[-1:]])
    batch = {
        "rewards": rng.normal(size=shape),
        "values": values,
        "next_values": np.where(ended, reached, following),
        "action_values": rng.normal(size=shape),
        "ratios": np.exp(0.5 * rng.normal(size=shape)),
    }
    batch = {name: x.astype(np.float32) for name, x in batch.items()}
    return batch | {"terminated": terminated, "truncated": truncated, "valid": np.ones(shape, bool)}


def on_policy(batch):
    """The same batch with ratios 1 and Q(s, a) = V(s)."""
    return batch | {"ratios": np.ones_like(batch["ratios"]), "action_values": batch["values"]}


# ------------------------------------------------------------------------------------------------ the oracle


def forward_view(batch):
    """Every target from its definition as a sum over the future of each step, in float64 Python."""
    x = {name: np.asarray(array, bool if array.dtype == bool else np.float64) for name, array in batch.items()}
    num_steps, num_rows = x["rewards"].shape
    out = {name: np.zeros((num_steps, num_rows)) for name in KERNELS(batch)}
    for row in range(num_rows):
        column = {name: array[:, row] for name, array in x.items()}
        for t in range(num_steps):
            end = t  # the last step of the episode, or of the data
            while end < num_steps - 1 and not (column["terminated"][end] or column["truncated"][end]):
                end += 1
            for name, figure in forward_views_at(column, t, end).items():
                out[name][t, row] = figure
    return out


def forward_views_at(x, t, end):
    bootstrap = np.where(x["terminated"], 0.0, x["next_values"])

    def n_step(n):
        last = min(t + n - 1, end)
        earned = sum(DISCOUNT ** (k - t) * x["rewards"][k] for k in range(t, last + 1))
        return earned + DISCOUNT ** (last + 1 - t) * bootstrap[last]

    longest = end - t + 1
    mixture = sum((1 - DECAY) * DECAY ** (n - 1) * n_step(n) for n in range(1, longest))
    lambda_return = mixture + DECAY ** (longest - 1) * n_step(longest)
    delta = x["rewards"] + DISCOUNT * bootstrap - x["values"]
    advantage = sum((DISCOUNT * DECAY) ** (k - t) * delta[k] for k in range(t, end + 1))
    v_target = v_trace_sum(x, t, end, delta)
    rho = min(1.2, x["ratios"][t])
    following = bootstrap[t] if t == end else (1 - DECAY) * bootstrap[t] + DECAY * v_trace_sum(x, t + 1, end, delta)
    q_delta = x["rewards"] + DISCOUNT * bootstrap - x["action_values"]
    traces = DECAY * np.minimum(1.0, x["ratios"])
    retrace = x["action_values"][t] + sum(
        DISCOUNT ** (k - t) * np.prod(traces[t + 1 : k + 1]) * q_delta[k] for k in range(t, end + 1)
    )
    return {
        "discounted_returns": n_step(longest),
        "n_step_returns": n_step(N_STEPS),
        "lambda_returns": lambda_return,
        "gae_advantages": advantage,
        "gae_targets": lambda_return,
        "vtrace_advantages": rho * (x["rewards"][t] + DISCOUNT * following - x["values"][t]),
        "vtrace_targets": v_target,
        "retrace": retrace,
    }


def v_trace_sum(x, t, end, delta):
    rho, c = np.minimum(1.2, x["ratios"]), DECAY * np.minimum(0.9, x["ratios"])
    return x["values"][t] + sum(DISCOUNT ** (k - t) * np.prod(c[t:k]) * rho[k] * delta[k] for k in range(t, end + 1))


@pytest.mark.parametrize("end_rate", [0.0, 0.1, 0.4])
def test_every_kernel_equals_its_definition_as_a_forward_sum(end_rate):
    for seed in range(5):
        batch = random_batch(seed, end_rate=end_rate)
        expected = forward_view(batch)
        for name, result in KERNELS(batch).items():
            np.testing.assert_allclose(result, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


# ------------------------------------------------------------------------------------------------ episodes are separate


FLOATS = ("rewards", "values", "next_values", "action_values", "ratios")


def exact_batch(seed, num_steps=6):
    """Few-bit binary fractions, on which every kernel at factors 1/2 is exact in float32 in any order."""
    batch, rng = random_batch(seed, num_steps, end_rate=0.1), np.random.default_rng(seed)
    for name in FLOATS:
        batch[name] = rng.integers(-4, 5, batch[name].shape).astype(np.float32)
    batch["ratios"] = rng.choice(np.float32([0.0, 0.5, 1.0, 2.0]), batch["ratios"].shape)
    return batch


@pytest.mark.parametrize("boundary", range(1, 6))
def test_a_batch_of_two_episodes_equals_two_batches_exactly(boundary):
    """kernel([A; B]) == concatenate(kernel(A), kernel(B)), whichever way A ends: terminated, truncated or both."""
    for seed in range(10):
        batch = exact_batch(seed)
        batch["terminated"][boundary - 1] = np.arange(N) % 3 != 1
        batch["truncated"][boundary - 1] = np.arange(N) % 3 != 0
        first = {name: x[:boundary] for name, x in batch.items()}
        second = {name: x[boundary:] for name, x in batch.items()}
        whole, a, b = EXACT(batch), EXACT(first), EXACT(second)
        for name in whole:
            np.testing.assert_array_equal(whole[name], np.concatenate([a[name], b[name]]), err_msg=name)


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_what_another_episode_holds_changes_no_bit_even_if_it_is_nan(flag):
    for boundary in range(1, T):
        batch = random_batch(boundary, end_rate=0.1)
        batch[flag][boundary - 1] = True
        expected = KERNELS(batch)
        for other, kept in (np.s_[boundary:], np.s_[:boundary]), (np.s_[:boundary], np.s_[boundary:]):
            poisoned = {name: x.copy() for name, x in batch.items()}
            for name in FLOATS:
                poisoned[name][other] = np.nan
            result = KERNELS(poisoned)
            for name in expected:
                np.testing.assert_array_equal(result[name][kept], expected[name][kept], err_msg=name)


def test_an_invalid_step_gives_zero_and_ends_the_step_before_it():
    batch = random_batch(1, end_rate=0.1)
    batch["valid"][3] = batch["valid"][6] = False
    poisoned = {name: x.copy() for name, x in batch.items()}
    for name in FLOATS:
        poisoned[name][~batch["valid"]] = np.nan
    cut = {name: x.copy() for name, x in batch.items()}
    cut["valid"][:] = True
    cut["truncated"][[2, 3, 5, 6]] = True
    result, expected = KERNELS(poisoned), KERNELS(cut)
    for name in result:
        assert np.all(np.asarray(result[name])[~batch["valid"]] == 0), name
        real = batch["valid"]
        np.testing.assert_array_equal(np.asarray(result[name])[real], np.asarray(expected[name])[real], err_msg=name)


def test_without_a_valid_argument_every_step_is_valid():
    batch = random_batch(2)
    expected, result = KERNELS(batch), KERNELS(batch | {"valid": None})
    for name in expected:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_step_that_both_terminates_and_truncates_has_its_reward_as_target_exactly():
    batch = on_policy(random_batch(3))
    batch["terminated"][4] = batch["truncated"][4] = True
    batch["next_values"][4] = 1e6
    result = KERNELS(batch)
    for name in ("discounted_returns", "n_step_returns", "lambda_returns", "gae_targets", "vtrace_targets", "retrace"):
        np.testing.assert_array_equal(result[name][4], batch["rewards"][4], err_msg=name)
    for name in ("gae_advantages", "vtrace_advantages"):
        np.testing.assert_array_equal(result[name][4], batch["rewards"][4] - batch["values"][4], err_msg=name)


@pytest.mark.parametrize("flag, bootstrap", [("terminated", 0.0), ("truncated", 1.0)])
def test_the_end_of_an_episode_bootstraps_only_where_it_was_truncated(flag, bootstrap):
    batch = on_policy(random_batch(4, end_rate=0.0))
    batch[flag][5] = True
    batch["next_values"][5] = np.random.default_rng(0).normal(size=N)
    expected = batch["rewards"][5] + DISCOUNT * bootstrap * batch["next_values"][5]
    result = KERNELS(batch)
    for name in ("discounted_returns", "n_step_returns", "lambda_returns", "gae_targets", "vtrace_targets", "retrace"):
        np.testing.assert_allclose(result[name][5], expected, rtol=1e-5, atol=1e-6, err_msg=name)


# ------------------------------------------------------------------------------------------------ identities


def plain(batch):
    """The arguments before the discount, of the kernels without values."""
    return [batch[name] for name in ("rewards", "next_values", "terminated", "truncated")]


def with_values(batch):
    return [batch[name] for name in ("rewards", "values", "next_values", "terminated", "truncated")]


@pytest.mark.parametrize("seed", range(3))
def test_lambda_one_is_return_minus_value_and_lambda_zero_the_one_step_error(seed):
    batch = random_batch(seed)
    monte_carlo = DISCOUNTED(*plain(batch), DISCOUNT)
    advantages, targets = GAE(*with_values(batch), DISCOUNT, 1.0)
    np.testing.assert_array_equal(targets, monte_carlo)
    np.testing.assert_array_equal(advantages, monte_carlo - batch["values"])
    one_step = batch["rewards"] + DISCOUNT * np.where(batch["terminated"], 0, batch["next_values"])
    advantages, targets = GAE(*with_values(batch), DISCOUNT, 0.0)
    np.testing.assert_allclose(targets, one_step, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(advantages, one_step - batch["values"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_lambda_zero_and_enough_steps_are_lambda_one(seed):
    batch = random_batch(seed)
    one_step = N_STEP(*plain(batch), DISCOUNT, 1)
    np.testing.assert_allclose(one_step, LAMBDA_RETURNS(*plain(batch), DISCOUNT, 0.0), rtol=1e-5, atol=1e-6)
    for n in (T, T + 1, 10 * T):
        np.testing.assert_allclose(
            N_STEP(*plain(batch), DISCOUNT, n), DISCOUNTED(*plain(batch), DISCOUNT), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_vtrace_on_policy_is_gae(decay):
    batch = on_policy(random_batch(5))
    ends = batch["terminated"], batch["truncated"]
    advantages, targets = VTRACE(
        batch["rewards"], batch["values"], batch["next_values"], batch["ratios"], *ends, DISCOUNT, decay
    )
    expected_advantages, expected_targets = GAE(*with_values(batch), DISCOUNT, decay)
    np.testing.assert_array_equal(targets, expected_targets)
    np.testing.assert_allclose(advantages, expected_advantages, rtol=1e-5, atol=1e-6)


def test_vtrace_of_actions_the_policy_never_takes_is_the_value():
    batch = random_batch(6)
    ends, never = (batch["terminated"], batch["truncated"]), np.zeros((T, N), np.float32)
    advantages, targets = VTRACE(batch["rewards"], batch["values"], batch["next_values"], never, *ends, DISCOUNT)
    np.testing.assert_array_equal(targets, batch["values"])
    np.testing.assert_array_equal(advantages, 0)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_retrace_on_policy_with_one_action_is_the_lambda_return(decay):
    batch = on_policy(random_batch(7))
    result = RETRACE(
        batch["rewards"], batch["action_values"], batch["next_values"], batch["ratios"], batch["terminated"],
        batch["truncated"], DISCOUNT, decay,
    )  # fmt: skip
    np.testing.assert_allclose(result, LAMBDA_RETURNS(*plain(batch), DISCOUNT, decay), rtol=1e-5, atol=1e-6)


def test_retrace_without_traces_is_expected_sarsa():
    batch = random_batch(8)
    expected = batch["rewards"] + DISCOUNT * np.where(batch["terminated"], 0, batch["next_values"])
    arguments = batch["terminated"], batch["truncated"], DISCOUNT
    for ratios, decay in ((batch["ratios"], 0.0), (np.zeros_like(batch["ratios"]), 1.0)):
        result = RETRACE(batch["rewards"], batch["action_values"], batch["next_values"], ratios, *arguments, decay)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def ring(num_steps, discount, lengths):
    """The deterministic ring: reward 1 on leaving state 0; rows are truncated every `lengths[row]` steps."""
    true = discount ** ((5 - np.arange(5)) % 5) / (1 - discount**5)
    rng = np.random.default_rng(0)
    fields = {name: [] for name in ("rewards", "values", "next_values", "truncated")}
    state = rng.integers(0, 5, len(lengths))
    for t in range(num_steps):
        reached, cut = (state + 1) % 5, (t + 1) % lengths == 0
        for name, x in zip(fields, (state == 0, true[state], true[reached], cut), strict=True):
            fields[name].append(x)
        state = np.where(cut, rng.integers(0, 5, len(lengths)), reached)
    batch = {name: np.asarray(x, bool if name == "truncated" else np.float32) for name, x in fields.items()}
    shape = num_steps, len(lengths)
    extra = {"terminated": np.zeros(shape, bool), "valid": np.ones(shape, bool)}
    return batch | extra | {"ratios": np.ones(shape, np.float32), "action_values": batch["values"]}


def test_true_values_of_a_truncated_task_have_no_advantage():
    batch = ring(40, DISCOUNT, np.array([3, 4, 7, 40, 1, 5]))
    result = KERNELS(batch)
    for name in ("discounted_returns", "n_step_returns", "lambda_returns", "gae_targets", "vtrace_targets", "retrace"):
        np.testing.assert_allclose(result[name], batch["values"], atol=2e-6, err_msg=name)
    for name in ("gae_advantages", "vtrace_advantages"):
        np.testing.assert_allclose(result[name], 0, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_true_values_of_a_terminating_task_have_no_advantage_exactly(decay):
    """A chain with integer rewards and discount 1/2, whose values are exact in float32."""
    rewards = np.array([[3.0], [-2.0], [5.0], [0.0], [1.0]], np.float32)
    values = np.zeros((6, 1), np.float32)
    for t in reversed(range(5)):
        values[t] = rewards[t] + 0.5 * values[t + 1]
    terminated = np.arange(5)[:, None] == 4
    next_values = values[1:].copy()
    next_values[-1] = 77.0  # the value of an absorbing state is never read
    advantages, targets = GAE(rewards, values[:-1], next_values, terminated, np.zeros((5, 1), bool), 0.5, decay)
    np.testing.assert_array_equal(advantages, 0)
    np.testing.assert_array_equal(targets, values[:-1])


# ------------------------------------------------------------------------------------------------ shapes and kinds


def test_factors_may_be_traced_and_may_change_with_time():
    batch = random_batch(9)
    discounts = np.full((T, N), DISCOUNT, np.float32)
    expected = LAMBDA_RETURNS(*plain(batch), DISCOUNT, DECAY)
    np.testing.assert_allclose(LAMBDA_RETURNS(*plain(batch), discounts, discounts * 0 + DECAY), expected, 1e-6)


def test_a_sequence_without_batch_axes_and_one_with_many():
    batch = random_batch(10)
    expected = LAMBDA_RETURNS(*plain(batch), DISCOUNT, DECAY)
    column = [x[:, 0] for x in plain(batch)]
    np.testing.assert_allclose(LAMBDA_RETURNS(*column, DISCOUNT, DECAY), expected[:, 0], 1e-6)
    cube = [x.reshape(T, 2, 3) for x in plain(batch)]
    np.testing.assert_allclose(LAMBDA_RETURNS(*cube, DISCOUNT, DECAY).reshape(T, N), expected, 1e-6)


def test_arrays_that_do_not_match_are_refused():
    batch = random_batch(11)
    rewards, next_values, terminated, truncated = plain(batch)
    with pytest.raises(AssertionError):
        returns.lambda_returns(rewards[:-1], next_values, terminated, truncated, DISCOUNT, DECAY)
    with pytest.raises(AssertionError):
        returns.lambda_returns(rewards, next_values, terminated.astype(np.float32), truncated, DISCOUNT, DECAY)
    with pytest.raises(AssertionError):
        returns.gae(rewards, batch["values"][:, :1], next_values, terminated, truncated, DISCOUNT, DECAY)
    with pytest.raises(AssertionError):
        returns.n_step_returns(rewards, next_values, terminated, truncated, DISCOUNT, 0)


def test_targets_pass_gradients_to_values():
    """d G_0 / d v'_t of an unbroken sequence: the share of that bootstrap in the lambda return."""
    batch = random_batch(12, num_rows=1, end_rate=0.0)
    rewards, next_values, terminated, truncated = plain(batch)

    def first(values):
        return returns.lambda_returns(rewards, values, terminated, truncated, DISCOUNT, DECAY)[0, 0]

    share = (1 - DECAY) * DECAY ** np.arange(T)
    share[-1] = DECAY ** (T - 1)
    np.testing.assert_allclose(jax.grad(first)(next_values)[:, 0], share * DISCOUNT ** np.arange(1, T + 1), rtol=1e-5)
