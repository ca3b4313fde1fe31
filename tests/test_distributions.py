"""Action distributions: against scipy, under masks, at the edge of float32, and by what they cost."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from jaxrl import distributions, spaces
from jaxrl.backend import jit_once as quick
from jaxrl.errors import UsageError

SPACES = {
    "discrete": spaces.Discrete(5),
    "one choice": spaces.Discrete(1),
    "equal sizes": spaces.MultiDiscrete((3, 3)),
    "unequal sizes": spaces.MultiDiscrete((2, 5, 1)),
    "box": spaces.Box(-2.0, 2.0, (3,)),
    "uneven box": spaces.Box((-2.1, 0.0), (0.3, 100.0), (2,)),
    "scalar box": spaces.Box(-1.0, 1.0, ()),
    "square box": spaces.Box(-1.0, 1.0, (2, 2)),
    "unbounded box": spaces.Box(-np.inf, np.inf, (2,)),
}
BOUNDED = ["box", "uneven box", "scalar box", "square box"]


def outputs_for(head, batch_shape, seed=0, scale=1.0):
    shape = *batch_shape, head.num_outputs + head.num_free
    return jnp.asarray(np.random.default_rng(seed).normal(0, scale, shape), jnp.float32)


def random_masks(rng, shape):
    """Masks with at least one legal entry a row."""
    legal = rng.random(shape) < 0.5
    legal[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = True
    return legal


# ------------------------------------------------------------------------------------------------ all heads


@pytest.mark.parametrize("name", SPACES)
def test_every_head_samples_actions_of_its_space_and_scores_them(name):
    """And a policy may leave jit as a value, uses its key once, and diverges from others but not from itself."""
    space, head = SPACES[name], distributions.head(SPACES[name])

    @quick
    def act(outputs, others, key, other_key):
        policy, other = head.distribution(outputs), head.distribution(others)
        action, log_prob = policy.sample_and_log_prob(seed=key)
        divergences = policy.kl_divergence(policy), policy.kl_divergence(other)
        scores = log_prob, policy.log_prob(action), policy.entropy(), *divergences
        return policy, action, policy.mode(), policy.sample(seed=other_key), scores

    with jax.debug_key_reuse(True):
        policy, action, mode, other, scores = act(
            outputs_for(head, (4, 3)), outputs_for(head, (4, 3), 1), jax.random.key(0), jax.random.key(1)
        )
    assert action.shape == mode.shape == (4, 3, *space.shape)
    assert action.dtype == mode.dtype == space.dtype
    assert all(score.shape == (4, 3) for score in scores)
    log_prob, again, _, same, different = scores
    np.testing.assert_allclose(log_prob, again, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(same, 0, atol=1e-6)
    np.testing.assert_array_equal(policy.mode(), mode)
    if not isinstance(space, spaces.Box):
        assert jax.vmap(space.contains)(action.reshape(-1, *space.shape)).all()
    if name != "one choice":
        assert np.all(np.asarray(different) > 1e-4)
        assert not np.array_equal(action, other)


def test_importing_loads_neither_distrax_nor_tensorflow_probability_and_starts_no_backend():
    program = (
        "import sys, jax, jaxrl.distributions, jaxrl.returns, jaxrl.statistics\n"
        "assert not {'distrax', 'tensorflow_probability', 'scipy.stats'} & set(sys.modules)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "space", [{"a": spaces.Discrete(2)}, (spaces.Box(-1.0, 1.0, (1,)),), spaces.Box(0, 255, (3,), np.uint8)]
)
def test_spaces_without_a_head_are_refused_in_one_line(space):
    for make in (distributions.head, distributions.squashed_head):
        with pytest.raises(UsageError, match="Discrete, MultiDiscrete or a Box of floats") as error:
            make(space)
        assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------ categorical


@pytest.mark.parametrize("n", [1, 7, 12])
def test_categorical_equals_scipy(n):
    head = distributions.head(spaces.Discrete(n))
    outputs, others = outputs_for(head, (50,), 0, 3.0), outputs_for(head, (50,), 1, 3.0)

    @quick
    def evaluate(outputs, others):
        policy = head.distribution(outputs)
        log_prob = jax.vmap(policy.log_prob, out_axes=-1)(jnp.arange(n)[:, None].repeat(50, 1))
        return log_prob, policy.entropy(), policy.kl_divergence(head.distribution(others)), policy.mode()

    log_prob, entropy, kl_divergence, mode = evaluate(outputs, others)
    expected = scipy.special.log_softmax(np.float64(outputs), axis=-1)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-5)
    probabilities = np.exp(expected)
    np.testing.assert_allclose(entropy, scipy.stats.entropy(probabilities, axis=-1), rtol=1e-4, atol=1e-6)
    other_probabilities = scipy.special.softmax(np.float64(others), axis=-1)
    divergence = scipy.stats.entropy(probabilities, other_probabilities, axis=-1)
    np.testing.assert_allclose(kl_divergence, divergence, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(mode, np.argmax(outputs, -1))


@pytest.mark.parametrize("num_never", [0, 10])
def test_categorical_draws_follow_the_probabilities(num_never):
    logits = jnp.pad(jnp.log(jnp.array([0.5, 0.0001, 0.2, 0.0499, 0.25])), (0, num_never), constant_values=-1e9)
    policy = distributions.head(spaces.Discrete(5 + num_never)).distribution(logits)
    draws = np.bincount(policy.sample(seed=jax.random.key(0), sample_shape=100_000), minlength=5)
    assert len(draws) == 5
    assert scipy.stats.chisquare(draws, np.float64([0.5, 0.0001, 0.2, 0.0499, 0.25]) * 100_000).pvalue > 0.001


def test_rows_are_drawn_independently():
    policy = distributions.head(spaces.Discrete(2)).distribution(jnp.zeros((2, 20_000, 2)))
    first, second = np.asarray(policy.sample(seed=jax.random.key(3)))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(20_000)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("n", [2, 5, 64])
def test_illegal_actions_are_never_drawn_and_do_not_count(n):
    rng = np.random.default_rng(n)
    legal, head = random_masks(rng, (100, n)), distributions.head(spaces.Discrete(n))
    legal[0], legal[1] = np.arange(n) == 0, np.arange(n) == n - 1
    outputs = outputs_for(head, (100,), n, 5.0)

    @quick
    def evaluate(outputs):
        policy = head.distribution(outputs, jnp.asarray(legal))
        draws = policy.sample(seed=jax.random.key(0), sample_shape=1000)
        return draws, policy.mode(), policy.entropy(), policy.probs

    draws, mode, entropy, probabilities = (np.asarray(x) for x in evaluate(outputs))
    assert np.take_along_axis(legal[None].repeat(1000, 0), draws[..., None], -1).all()
    assert np.take_along_axis(legal, mode[:, None], -1).all()
    assert np.all(entropy <= np.log(legal.sum(-1)) + 1e-5)
    assert np.all(probabilities[~legal] == 0)
    expected = scipy.special.softmax(np.where(legal, np.float64(outputs), -np.inf), axis=-1)
    np.testing.assert_allclose(entropy, scipy.stats.entropy(expected, axis=-1), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(evaluate(jnp.where(legal, outputs, 1e30)), (draws, mode, entropy), strict=False):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-23])
def test_the_most_extreme_uniform_number_draws_a_legal_action(monkeypatch, uniform):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype=float: jnp.full(shape, uniform, dtype))
    for n in (2, 18, 500):
        legal = random_masks(rng, (2000, n))
        head = distributions.head(spaces.Discrete(n))
        policy = head.distribution(outputs_for(head, (2000,), n, 4.0), jnp.asarray(legal))
        draws = np.asarray(policy.sample(seed=jax.random.key(0)))
        assert np.take_along_axis(legal, draws[:, None], -1).all()


@pytest.mark.parametrize("num_legal", [0, 1, 3])
def test_masked_values_and_gradients_are_finite(num_legal):
    """Also with a single legal action, and in a row without any (a padded agent), which is then uniform."""
    head, legal = distributions.head(spaces.Discrete(4)), jnp.arange(4) < num_legal
    outputs = jnp.array([[1e4, -1e4, 3.0, 0.0], [0.1, 0.2, 0.3, 0.4]])

    def score(outputs, legal):
        policy = head.distribution(outputs, legal)
        return jnp.sum(policy.log_prob(jnp.zeros(2, int)) + policy.entropy() + policy.kl_divergence(policy))

    value, gradient = quick(jax.value_and_grad(score))(outputs, legal)
    assert np.isfinite(gradient).all() and (np.isfinite(value) or num_legal == 0)
    np.testing.assert_array_equal(gradient[:, num_legal:], 0)
    if num_legal == 1:
        np.testing.assert_array_equal(gradient, 0)
        assert value == 0
    if num_legal == 0:
        probabilities = quick(lambda outputs, legal: head.distribution(outputs, legal).probs)
        np.testing.assert_allclose(probabilities(outputs, legal), 0.25)


@pytest.mark.parametrize(
    ("space", "legal", "row"),
    [
        (spaces.Discrete(3), [[True, False, False], [False, False, False]], "[1]"),
        (spaces.MultiDiscrete((1, 2)), [[True, False, False], [True, True, False]], "[0]"),
    ],
)
def test_a_known_mask_without_a_legal_action_is_refused(space, legal, row):
    """Of any part of an action; so is one that a greedy choice is given."""
    head = distributions.head(space)
    with pytest.raises(UsageError, match=rf"legal has no legal action in row \{row[:-1]}\]"):
        head.distribution(jnp.zeros((2, head.num_outputs)), jnp.array(legal))
    with pytest.raises(UsageError, match="no legal action"):
        distributions.epsilon_greedy(jax.random.key(0), jnp.zeros((1, 2)), 0.0, jnp.zeros((1, 2), bool))


@pytest.mark.parametrize("n", [6, 12])
def test_the_gradient_of_a_categorical_is_the_closed_form(n):
    """d log p(a) / d outputs = onehot(a) - p; d H / d outputs = -p (log p + H)."""
    head = distributions.head(spaces.Discrete(n))
    outputs, action = outputs_for(head, (20,)), jnp.arange(20) % n
    p = scipy.special.softmax(np.float64(outputs), -1)
    gradient = quick(jax.grad(lambda x: head.distribution(x).log_prob(action).sum()))(outputs)
    np.testing.assert_allclose(gradient, np.eye(n)[action] - p, atol=1e-6)
    gradient = quick(jax.grad(lambda x: head.distribution(x).entropy().sum()))(outputs)
    entropy = scipy.stats.entropy(p, axis=-1)[:, None]
    np.testing.assert_allclose(gradient, -p * (np.log(p) + entropy), atol=1e-6)


@pytest.mark.parametrize("sizes", [(3, 3), (2, 5, 1), (4,)])
def test_multi_discrete_is_the_product_of_its_categoricals(sizes):
    head = distributions.head(spaces.MultiDiscrete(sizes))
    assert (head.num_outputs, head.num_free) == (sum(sizes), 0)
    rng = np.random.default_rng(0)
    parts = [random_masks(rng, (30, n)) for n in sizes]
    outputs, legal = outputs_for(head, (30,)), np.concatenate(parts, -1)

    @quick
    def evaluate(outputs, legal):
        policy = head.distribution(outputs, legal)
        draws = policy.sample(seed=jax.random.key(0), sample_shape=500)
        return draws, policy.mode(), policy.log_prob(draws[0]), policy.entropy()

    draws, mode, log_prob, entropy = (np.asarray(x) for x in evaluate(outputs, legal))
    logits = np.split(np.where(legal, np.float64(outputs), -np.inf), np.cumsum(sizes)[:-1], -1)
    for i, (mask, logit) in enumerate(zip(parts, logits, strict=True)):
        assert draws[..., i].max() < sizes[i]
        assert np.take_along_axis(mask[None].repeat(500, 0), draws[..., i : i + 1], -1).all()
        np.testing.assert_array_equal(mode[:, i], np.argmax(logit, -1))
    log_p = [scipy.special.log_softmax(logit, -1) for logit in logits]
    expected = sum(np.take_along_axis(x, draws[0, :, i : i + 1], -1)[:, 0] for i, x in enumerate(log_p))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-5)
    expected = sum(scipy.stats.entropy(np.exp(x), axis=-1) for x in log_p)
    np.testing.assert_allclose(entropy, expected, rtol=1e-4, atol=1e-5)


def test_multi_discrete_entries_are_drawn_by_their_probabilities_and_independently():
    logits = jnp.log(jnp.array([0.1, 0.9, 0.2, 0.3, 0.5]))
    policy = distributions.head(spaces.MultiDiscrete((2, 3))).distribution(logits)
    draws = np.asarray(policy.sample(seed=jax.random.key(0), sample_shape=100_000))
    table = np.zeros((2, 3))
    np.add.at(table, (draws[:, 0], draws[:, 1]), 1)
    expected = np.outer([0.1, 0.9], [0.2, 0.3, 0.5]) * 100_000
    assert scipy.stats.chisquare(table.ravel(), expected.ravel()).pvalue > 0.001


# ------------------------------------------------------------------------------------------------ Gaussian


@pytest.mark.parametrize("name", [*BOUNDED, "unbounded box"])
def test_gaussian_equals_scipy_in_units_of_the_bounds(name):
    space = SPACES[name]
    head = distributions.head(space)
    size = int(np.prod(space.shape))
    assert (head.num_outputs, head.num_free) == (size, size)

    @quick
    def evaluate(outputs):
        policy = head.distribution(outputs)
        draws = policy.sample(seed=jax.random.key(0), sample_shape=500)
        return draws, policy.log_prob(draws[0]), policy.entropy(), policy.mode()

    outputs = outputs_for(head, (40,))
    draws, log_prob, entropy, mode = (np.asarray(x) for x in evaluate(outputs))
    low, high = (np.float64(bound) for bound in space.bounds())
    middle, half = ((low + high) / 2, (high - low) / 2) if space.bounded else (np.float64(0), np.float64(1))
    mean, log_std = (np.float64(x).reshape(40, *space.shape) for x in np.split(outputs, 2, -1))
    reference = scipy.stats.norm(middle + half * mean, half * np.exp(log_std))
    axes = tuple(range(1, 1 + len(space.shape)))
    np.testing.assert_allclose(log_prob, reference.logpdf(draws[0]).sum(axes), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(entropy, reference.entropy().sum(axes), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mode, reference.mean(), rtol=1e-5, atol=1e-5)
    assert scipy.stats.kstest(reference.cdf(draws).ravel(), "uniform", method="asymp").pvalue > 0.001


def test_a_gaussian_without_one_bound_is_in_plain_units_there():
    head = distributions.head(spaces.Box((0.0, -4.0, 2.0), (np.inf, 4.0, 2.0), (3,)))
    policy = head.distribution(jnp.array([0.5, 0.5, 0.5, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(policy.mode(), [0.5, 2.0, 0.5])
    np.testing.assert_allclose(policy.stddev(), [1.0, 4.0, 1.0])


def test_gaussian_divergence_is_the_closed_form():
    head = distributions.head(SPACES["box"])
    a, b = outputs_for(head, (10,)), outputs_for(head, (10,), 1)
    (m, s), (n, t) = (np.split(np.float64(x), 2, -1) for x in (a, b))
    expected = (t - s + (np.exp(2 * s) + (m - n) ** 2) / (2 * np.exp(2 * t)) - 0.5).sum(-1)
    divergence = quick(lambda a, b: head.distribution(a).kl_divergence(head.distribution(b)))(a, b)
    np.testing.assert_allclose(divergence, expected, rtol=1e-4)


# ------------------------------------------------------------------------------------------------ squashed Gaussian

WIDE = {"min_log_std": -20.0, "max_log_std": 10.0}
LOG_STDS, MEANS = np.linspace(-20, 10, 31), np.concatenate([np.linspace(-50, 50, 41), [-0.1, 1e-6, 3.3]])


def extreme_grid():
    """outputs [M, 2]: every mean with every log deviation."""
    mean, log_std = np.meshgrid(MEANS, LOG_STDS)
    return jnp.asarray(np.stack([mean.ravel(), log_std.ravel()], -1), jnp.float32)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-3.8, 0.5)])
def test_squashed_gaussian_is_finite_at_every_extreme(bounds):
    """And inside the bounds, also where float32 rounds the middle plus the half range beyond them (-3.8 to 0.5)."""
    space = spaces.Box(*bounds, (1,))
    (low, high), head, grid = space.bounds(), distributions.squashed_head(space, **WIDE), extreme_grid()

    def drawn(outputs, key):
        action, log_prob = head.distribution(outputs).sample_and_log_prob(seed=key)
        return log_prob.sum() + action.sum(), (action, log_prob)

    def scored(outputs, action):
        log_prob = head.distribution(outputs).log_prob(action)
        return log_prob.sum(), log_prob

    draw, score = (quick(jax.grad(f, has_aux=True)) for f in (drawn, scored))
    for seed in range(5):
        gradient, (action, log_prob) = draw(grid, jax.random.key(seed))
        assert np.isfinite(log_prob).all() and np.isfinite(gradient).all()
        assert np.all((action >= low) & (action <= high))
        for given in (action, jnp.full_like(action, bounds[0]), jnp.full_like(action, bounds[1])):
            gradient, log_prob = score(grid, given)
            assert np.isfinite(log_prob).all() and np.isfinite(gradient).all()
    mode = quick(lambda x: head.distribution(x).mode())(grid)
    assert np.all((mode >= low) & (mode <= high))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-2.0, 6.0)])
def test_squashed_log_probability_equals_the_float64_closed_form(bounds):
    head, grid = distributions.squashed_head(spaces.Box(*bounds, (1,)), **WIDE), extreme_grid()
    draw = quick(lambda key: head.distribution(grid).sample_and_log_prob(seed=key))
    num_compared = 0
    for seed in range(20):
        action, log_prob = draw(jax.random.key(seed))
        standard = np.float64(jax.random.normal(jax.random.key(seed), (1, len(grid), 1)))[0, :, 0]
        mean, log_std = np.float64(grid).T
        u = mean + np.exp(log_std) * standard
        near = np.abs(u) < 8
        half = (bounds[1] - bounds[0]) / 2
        with np.errstate(divide="ignore"):
            expected = scipy.stats.norm.logpdf(standard) - log_std - np.log(half * (1 - np.tanh(u) ** 2))
        np.testing.assert_allclose(log_prob[near], expected[near], rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(action[near, 0], bounds[0] + half * (1 + np.tanh(u[near])), rtol=1e-5, atol=1e-5)
        num_compared += near.sum()
    assert num_compared > 4000


@pytest.mark.parametrize("mean, log_std", [(0.0, 0.0), (0.8, -1.0), (-1.5, 0.3)])
def test_squashed_density_of_given_actions_integrates_to_one_and_matches_the_draws(mean, log_std):
    head = distributions.squashed_head(spaces.Box(-3.0, 1.0, (1,)))
    actions = np.float64(np.float32(-1 + 2 * np.tanh(np.linspace(-6.5, 6.5, 20_001))))

    @quick
    def evaluate(outputs, actions):
        policy = head.distribution(outputs)
        return jax.vmap(policy.log_prob)(actions), policy.sample(seed=jax.random.key(0), sample_shape=5000)[:, 0]

    log_density, draws = evaluate(jnp.array([mean, log_std]), jnp.asarray(actions[:, None], jnp.float32))
    cumulative = scipy.integrate.cumulative_trapezoid(np.exp(np.float64(log_density)), actions, initial=0)
    np.testing.assert_allclose(cumulative[-1], 1, atol=2e-3)
    assert scipy.stats.kstest(draws, lambda x: np.interp(x, actions, cumulative), method="asymp").pvalue > 0.001


@pytest.mark.parametrize("name", BOUNDED)
def test_squashed_head_covers_every_shape_of_box(name):
    space = SPACES[name]
    head = distributions.squashed_head(space)
    assert (head.num_outputs, head.num_free) == (2 * int(np.prod(space.shape)), 0)

    @quick
    def evaluate(outputs):
        policy = head.distribution(outputs)
        action, log_prob = policy.sample_and_log_prob(seed=jax.random.key(0))
        return action, log_prob, policy.log_prob(action), policy.mode()

    action, log_prob, again, mode = evaluate(outputs_for(head, (4, 3), scale=0.3).at[0, 0].set(0.0))
    assert action.shape == mode.shape == (4, 3, *space.shape) and log_prob.shape == (4, 3)
    assert jax.vmap(space.contains)(action.reshape(-1, *space.shape)).all()
    np.testing.assert_allclose(again, log_prob, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(mode[0, 0], (space.bounds()[0] + space.bounds()[1]) / 2, atol=1e-5)


def test_squashed_gradient_of_a_draw_is_the_pathwise_derivative():
    """d log p(u) / d mean = 2 tanh(u) and d / d log_std = 2 tanh(u) std z - 1, for u = mean + std z."""
    head, key = distributions.squashed_head(spaces.Box(-1.0, 1.0, (1,))), jax.random.key(0)
    outputs = jnp.stack([jnp.linspace(-4, 4, 50), jnp.linspace(-3, 1, 50)], -1)
    gradient = quick(jax.grad(lambda x: head.distribution(x).sample_and_log_prob(seed=key)[1].sum()))(outputs)
    mean, log_std = np.float64(outputs).T
    scaled = np.exp(log_std) * np.float64(jax.random.normal(key, (1, 50, 1)))[0, :, 0]
    slope = 2 * np.tanh(mean + scaled)
    np.testing.assert_allclose(gradient, np.stack([slope, slope * scaled - 1], -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low, high", [(-np.inf, np.inf), (0.0, np.inf), (1.0, 1.0)])
def test_a_squashed_policy_needs_bounds(low, high):
    with pytest.raises(UsageError, match="needs finite bounds"):
        distributions.squashed_head(spaces.Box(low, high, (2,)))


# ------------------------------------------------------------------------------------------------ epsilon-greedy


def many(choose):
    return quick(jax.vmap(choose))


def test_greedy_actions_are_the_first_best_legal_ones():
    values = jnp.array([[1.0, 3.0, 3.0], [5.0, 5.0, 5.0], [9.0, -1.0, -1.0], [-jnp.inf, -jnp.inf, -jnp.inf]])
    legal = jnp.array([[True, True, True], [True, True, True], [False, True, True], [False, True, True]])
    choose = quick(distributions.epsilon_greedy)
    np.testing.assert_array_equal(choose(jax.random.key(0), values, 0.0, legal), [1, 0, 1, 1])
    np.testing.assert_array_equal(choose(jax.random.key(0), values[:2], 0.0), [1, 0])


def test_a_greedy_policy_is_never_random(monkeypatch):
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: jnp.zeros(shape))
    assert distributions.epsilon_greedy(jax.random.key(0), jnp.array([0.0, 1.0]), 0.0) == 1


def test_random_actions_are_uniform_over_the_legal_ones():
    rng = np.random.default_rng(0)
    legal = random_masks(rng, (20, 6))
    values = jnp.asarray(rng.normal(size=(20, 6)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 5000)
    draws = np.asarray(many(lambda k: distributions.epsilon_greedy(k, values, 1.0, jnp.asarray(legal)))(keys))
    counts = np.stack([np.bincount(column, minlength=6) for column in draws.T])
    assert np.all(counts[~legal] == 0)
    statistic = sum(scipy.stats.chisquare(row[mask]).statistic for row, mask in zip(counts, legal, strict=True))
    assert scipy.stats.chi2.sf(statistic, (legal.sum(-1) - 1).sum()) > 0.001


def test_epsilon_is_the_share_of_random_actions_and_may_differ_by_row():
    epsilon = jnp.array([0.0, 0.1, 0.5, 1.0])
    values = jnp.tile(jnp.array([0.0, 1.0, 0.0, 0.0]), (4, 1))
    keys = jax.random.split(jax.random.key(1), 20_000)
    draws = np.asarray(many(lambda k: distributions.epsilon_greedy(k, values, epsilon))(keys))
    expected = 1 - np.asarray(epsilon) * 3 / 4
    error = 4 * np.sqrt(expected * (1 - expected) / len(keys)) + 1e-9
    assert np.all(np.abs((draws == 1).mean(0) - expected) < error)
    single = quick(distributions.epsilon_greedy)(jax.random.key(0), values[0], 0.0)
    assert single.shape == () and single == 1


def test_illegal_actions_are_never_chosen_whatever_their_value():
    rng = np.random.default_rng(2)
    legal = random_masks(rng, (100, 5))
    values = np.where(legal, rng.normal(size=(100, 5)), rng.choice([1e30, np.inf, np.nan], (100, 5)))
    keys = jax.random.split(jax.random.key(2), 1000)
    choose = jax.vmap(
        lambda k: distributions.epsilon_greedy(k, jnp.asarray(values, jnp.float32), 0.5, jnp.asarray(legal))
    )
    draws = np.asarray(choose(keys))
    assert np.take_along_axis(legal[None].repeat(1000, 0), draws[..., None], -1).all()


def test_masked_values_hide_huge_illegal_ones_and_pass_without_a_mask():
    values = jnp.array([[1e30, -5.0, 2.0]])
    legal = jnp.array([[False, True, True]])
    assert distributions.masked(values, legal).max() == 2.0
    assert distributions.masked(values, None) is values
    assert np.isfinite(distributions.masked(values, legal)).all()


# ------------------------------------------------------------------------------------------------ cost


def test_a_categorical_costs_no_more_operations_than_one_written_by_hand():
    """Sample, log-probability, entropy and their gradient on [64, 2]: no gather, scatter or sort; few fusions."""
    head, logits = distributions.head(spaces.Discrete(2)), jnp.zeros((64, 2))

    def by_hand(x):
        log_p = jax.nn.log_softmax(x)

        class Policy:
            sample = staticmethod(lambda seed: jax.random.categorical(seed, log_p))
            log_prob = staticmethod(lambda a: jnp.take_along_axis(log_p, a[..., None], -1)[..., 0])
            entropy = staticmethod(lambda: -jnp.sum(jnp.exp(log_p) * log_p, -1))

        return Policy

    def program(make):
        def loss(x, key):
            policy = make(x)
            action = jax.lax.stop_gradient(policy.sample(seed=key))
            return (policy.log_prob(action) - 0.01 * policy.entropy()).mean(), action

        return jax.jit(jax.grad(loss, has_aux=True)).lower(logits, jax.random.key(0)).compile().as_text()

    ours, reference = program(head.distribution), program(by_hand)
    assert not any(f" {slow}(" in ours for slow in ("gather", "scatter", "sort"))
    assert ours.count(" fusion(") <= reference.count(" fusion(") + 3
