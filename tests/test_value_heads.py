"""Value heads and backups against loops in numpy: projection, quantile loss, soft and double targets, masks."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.agents import value_heads, value_targets
from jaxrl.agents.value_heads import Target
from jaxrl.types import Experience, Observation

INFINITE = float("inf")
RNG = np.random.default_rng
HYPER = SimpleNamespace(
    value_low=-2.0, value_high=3.0, huber_threshold=1.0, munchausen=0.9, munchausen_low=-1.0, temperature=0.03
)


def hyper(**changes):
    return SimpleNamespace(**{**vars(HYPER), **changes})


def one_hot(actions, n):
    return jnp.asarray(np.eye(n, dtype=np.float32)[actions])


# --- C51 -----------------------------------------------------------------------------------------------------------


def projected(probabilities, reward, discount, support):
    """Algorithm 1 of Bellemare et al. 2017, mass by mass."""
    mass, width = np.zeros(len(support)), support[1] - support[0]
    for p, z in zip(probabilities, support, strict=True):
        b = (min(max(reward + discount * z, support[0]), support[-1]) - support[0]) / width
        low, high = int(np.floor(b)), int(np.ceil(b))
        if low == high:
            mass[low] += p
        else:
            mass[low] += p * (high - b)
            mass[high] += p * (b - low)
    return mass


CASES = {  # rewards and discounts of what the projection must get right
    "inside": ([0.3, -0.4, 0.0], [0.9, 0.5, 0.9]),
    "terminated": ([0.3, 3.0, -1.99], [0.0, 0.0, 0.0]),
    "beyond both ends": ([9.0, -9.0, 2.5], [0.9, 0.9, 0.0]),
    "onto atoms": ([1.0, 0.0, -2.0], [1.0, 1.0, 0.0]),
    "three steps": ([0.7, -0.2, 1.1], [0.9**3, 0.5**3, 1.0]),
}


@pytest.mark.parametrize("case", CASES)
def test_projection_is_the_algorithm_of_the_paper(case):
    """Mass for mass, it sums to 1, and keeps the mean where nothing lies beyond the ends."""
    reward, discount = (np.array(x, np.float32) for x in CASES[case])
    support = np.linspace(-2, 3, 11)
    probabilities = RNG(0).dirichlet(np.ones(11), 3)
    positions = reward[:, None] + discount[:, None] * support
    mass = value_heads.project(jnp.float32(probabilities), jnp.float32(positions), jnp.float32(support))
    expected = [projected(p, r, d, support) for p, r, d in zip(probabilities, reward, discount, strict=True)]
    np.testing.assert_allclose(mass, expected, atol=2e-6)
    np.testing.assert_allclose(np.sum(mass, -1), 1, atol=1e-5)
    inside = ((positions >= -2) & (positions <= 3)).all(-1)
    means = (probabilities * positions).sum(-1)
    np.testing.assert_allclose((np.asarray(mass) @ support)[inside], means[inside], atol=1e-5)


def test_categorical_loss_is_the_divergence_from_the_projection():
    """Of the taken action from the policy's; its gradient is softmax - projection; it is 0 where both agree."""
    generator, head = RNG(1), value_heads.categorical()
    out, next_out = (jnp.float32(generator.normal(size=(3, 2, 11))) for _ in range(2))
    taken, greedy = [0, 1, 1], [1, 0, 1]
    reward, discount = np.array([0.3, 5.0, -0.7], np.float32), np.array([0.9, 0.9, 0.0], np.float32)
    target = Target(jnp.asarray(reward), jnp.asarray(discount), next_out, one_hot(greedy, 2))
    support, rows = np.linspace(-2, 3, 11), np.arange(3)
    given, following = (np.asarray(jax.nn.softmax(x), float) for x in (out, next_out))
    wanted = np.array([projected(following[i, greedy[i]], reward[i], discount[i], support) for i in rows])
    loss, priority = head.loss(out, one_hot(taken, 2), target, HYPER)
    positive = np.where(wanted > 0, wanted, 1)
    expected = (wanted * (np.log(positive) - np.log(given[rows, taken]))).sum(-1)
    np.testing.assert_allclose(loss, expected, rtol=2e-5)
    np.testing.assert_array_equal(loss, priority)
    gradient = np.asarray(jax.grad(lambda out: head.loss(out, one_hot(taken, 2), target, HYPER)[0].sum())(out))
    np.testing.assert_allclose(gradient[rows, taken], given[rows, taken] - wanted, atol=2e-6)
    np.testing.assert_array_equal(gradient[rows, 1 - np.array(taken)], 0)
    same = Target(jnp.zeros(3), jnp.ones(3), out, one_hot(taken, 2))
    np.testing.assert_allclose(head.loss(out, one_hot(taken, 2), same, HYPER)[0], 0, atol=1e-6)


def test_categorical_values_are_means():
    logits = jnp.log(jnp.array([[[0.25, 0.75], [1.0, 1e-30]]]))
    np.testing.assert_allclose(value_heads.categorical().values(logits, HYPER), [[-0.5 + 2.25, -2.0]], rtol=1e-6)


# --- quantiles -----------------------------------------------------------------------------------------------------


def quantile_loss(given, fractions, wanted, threshold):
    """Eq. 10 of Dabney et al. 2018a, pair by pair; half the square for a threshold of inf."""
    total = 0.0
    for theta, fraction in zip(given, fractions, strict=True):
        for z in wanted:
            u = z - theta
            huber = 0.5 * u**2 if abs(u) <= threshold else threshold * (abs(u) - 0.5 * threshold)
            scale = 1.0 if threshold == INFINITE else threshold
            total += abs(fraction - float(u < 0)) * huber / scale / len(wanted)
    return total


@pytest.mark.parametrize("threshold", [1.0, 0.3, INFINITE, 1e-5])
def test_quantile_loss_is_the_sum_over_pairs(threshold):
    """Online and target may hold different numbers of quantiles; every row has fractions of its own."""
    generator, head = RNG(2), value_heads.quantile()
    quantiles, next_quantiles = generator.normal(size=(4, 2, 5)), generator.normal(size=(4, 2, 3))
    fractions, taken, greedy = generator.uniform(size=(4, 5)), [0, 1, 1, 0], [1, 1, 0, 0]
    reward, discount = generator.normal(size=4), np.array([0.9, 0.0, 0.5, 1.0])
    out = (jnp.float32(quantiles), jnp.float32(fractions))
    target = Target(jnp.float32(reward), jnp.float32(discount), (jnp.float32(next_quantiles), None), one_hot(greedy, 2))
    loss, _ = head.loss(out, one_hot(taken, 2), target, hyper(huber_threshold=threshold))
    expected = [
        quantile_loss(
            quantiles[i, taken[i]], fractions[i], reward[i] + discount[i] * next_quantiles[i, greedy[i]], threshold
        )
        for i in range(4)
    ]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_gradient_of_a_quantile_is_its_fraction_off():
    """With a threshold of 0: the share of targets below it less its fraction, so it settles at that quantile."""
    wanted, fractions = np.sort(RNG(3).normal(size=1000)), np.array([0.05, 0.37, 0.5, 0.9])
    given = np.array([-1.0, 0.2, 0.0, 2.5])
    target = Target(jnp.zeros(1), jnp.ones(1), (jnp.float32(wanted)[None, None], None), jnp.ones((1, 1)))

    def loss(quantiles, fractions):
        out = quantiles[None, None], fractions[None]
        return value_heads.quantile().loss(out, jnp.ones((1, 1)), target, hyper(huber_threshold=0.0))[0][0]

    gradient = jax.grad(loss)(jnp.float32(given), jnp.float32(fractions))
    below = (wanted[None] < given[:, None]).mean(-1)
    np.testing.assert_allclose(gradient, below - fractions, atol=1e-4)
    settled = jax.grad(loss)(jnp.float32(np.quantile(wanted, fractions)), jnp.float32(fractions))
    np.testing.assert_allclose(settled, 0, atol=2e-3)


def test_quantile_values_are_means():
    out = jnp.array([[[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]]]), None
    np.testing.assert_array_equal(value_heads.quantile().values(out, HYPER), [[3.0, 0.0]])


# --- expectations --------------------------------------------------------------------------------------------------


def test_expected_loss_is_hubers():
    """Towards reward + discount * the policy's mean; the priority is the size of the error."""
    out, next_out = jnp.array([[1.0, 9.0], [9.0, -3.0]]), jnp.array([[2.0, 4.0], [100.0, 200.0]])
    target = Target(jnp.array([1.0, 0.5]), jnp.array([0.5, 0.0]), next_out, jnp.array([[0.25, 0.75], [0.0, 1.0]]))
    loss, priority = value_heads.expected().loss(out, one_hot([0, 1], 2), target, HYPER)
    np.testing.assert_allclose(priority, [1.75, 3.5])
    np.testing.assert_allclose(loss, [1.75 - 0.5, 3.5 - 0.5])
    loss, _ = value_heads.expected().loss(out, one_hot([0, 1], 2), target, hyper(huber_threshold=INFINITE))
    np.testing.assert_allclose(loss, [0.5 * 1.75**2, 0.5 * 3.5**2])


def test_what_has_no_probability_does_not_count():
    policy = jnp.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    x = jnp.array([[jnp.nan, 2.0, 4.0], [7.0, jnp.inf, jnp.nan]])
    np.testing.assert_array_equal(value_heads.under(policy, x), [3.0, 7.0])
    np.testing.assert_array_equal(value_heads.under(policy, x[..., None] * jnp.ones(2)), [[3.0, 3.0], [7.0, 7.0]])


# --- backups -------------------------------------------------------------------------------------------------------

STATES = 4


def experience(seed):
    """(items [6] over STATES states and 3 actions with masks, one-hot; tables of values for online and target)."""
    generator = RNG(seed)
    legal = generator.random((STATES, 3)) < 0.6
    legal[:, 1] = True
    s, s_next = generator.integers(STATES, size=6), generator.integers(STATES, size=6)
    action = np.array([generator.choice(np.flatnonzero(legal[i])) for i in s])

    def obs(states):
        return Observation(jnp.asarray(states), jnp.asarray(legal[states]))

    reward, discount = generator.normal(size=6), np.array([0.9, 0.9, 0.0, 0.5, 0.9, 0.9])
    items = Experience(
        obs(s), jnp.asarray(action), jnp.float32(reward), jnp.float32(discount), jnp.ones(6, bool), obs(s_next), ()
    )
    tables = [np.where(legal, generator.normal(size=(STATES, 3)), 1e6) for _ in range(2)]  # illegal ones seem splendid
    return items, legal, *(table.astype(np.float32) for table in tables)


def backed_up(backup, items, online, target, **changes):
    """(target value [6], policy [6, 3])."""
    look = [lambda obs, t=table: jnp.asarray(t)[obs.features] for table in (online, target)]
    reward, policy = backup(items, look[1](items.next_obs), *look, hyper(**changes))
    worth = value_heads.under(policy, look[1](items.next_obs))
    return np.asarray(reward + items.discount * worth), np.asarray(policy)


@pytest.mark.parametrize("seed", range(3))
def test_who_chooses_and_who_values(seed):
    """The maximum takes both from the target network, double takes the choice from the online one; legal ones only."""
    items, legal, online, target = experience(seed)
    for backup, chooser in ((value_targets.maximum, target), (value_targets.double, online)):
        expected = []
        for i, s in enumerate(np.asarray(items.next_obs.features)):
            best = max((a for a in range(3) if legal[s, a]), key=lambda a, s=s, c=chooser: c[s, a])
            expected.append(items.reward[i] + items.discount[i] * target[s, best])
        values, policy = backed_up(backup, items, online, target)
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        assert (policy.sum(-1) == 1).all() and not policy[~legal[np.asarray(items.next_obs.features)]].any()
    assert not np.allclose(
        *(backed_up(b, items, online, target)[0] for b in (value_targets.maximum, value_targets.double))
    )


def softmax(values, legal, temperature):
    p = np.where(legal, np.exp(np.where(legal, values - values[legal].max(), 0) / temperature), 0.0)
    return p / p.sum()


@pytest.mark.parametrize(("temperature", "low"), [(0.5, -1.0), (0.5, -0.1), (0.03, -1.0)])
def test_munchausen_by_hand(temperature, low):
    """The clipped log-probability of the taken action, and a soft expectation with its entropy, over legal actions."""
    items, legal, online, target = experience(5)
    expected, target = [], target.astype(float)
    for i in range(6):
        s, s_next, a = (int(x[i]) for x in (items.obs.features, items.next_obs.features, items.action))
        taken = softmax(target[s], legal[s], temperature)[a]
        bonus = max(temperature * np.log(max(taken, 1e-300)), low)
        p = softmax(target[s_next], legal[s_next], temperature)
        soft = sum(p[b] * (target[s_next, b] - temperature * np.log(p[b])) for b in range(3) if p[b] > 0)
        expected.append(float(items.reward[i]) + 0.9 * bonus + float(items.discount[i]) * soft)
    values, policy = backed_up(
        value_targets.munchausen, items, online, target.astype(np.float32), temperature=temperature, munchausen_low=low
    )
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    assert not policy[~legal[np.asarray(items.next_obs.features)]].any()


def test_munchausen_without_bonus_in_the_cold_is_the_maximum():
    items, _, online, target = experience(7)
    cold = backed_up(value_targets.munchausen, items, online, target, munchausen=0.0, temperature=1e-5)
    for ours, theirs in zip(cold, backed_up(value_targets.maximum, items, online, target), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    warm = backed_up(value_targets.munchausen, items, online, target, munchausen=0.0, temperature=1.0)
    assert not np.allclose(warm[0], cold[0], atol=1e-2)
