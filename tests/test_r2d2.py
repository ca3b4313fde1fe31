"""R2D2: its target by hand, carries that restart and are stored as they were, and values on another scale."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl import agents, distributions, envs, loop, value_networks
from jaxrl.agents import r2d2
from jaxrl.buffers.sequence import sequence
from jaxrl.errors import UsageError
from jaxrl.networks import Settings
from jaxrl.spaces import Box
from jaxrl.types import Buffer, Network, Observation, Rollout, Sample, Transition
from jaxrl.vectorize import vectorize

INFINITE = float("inf")


def plain_descent():
    return optax.stateless(lambda updates, params: updates)


def counter(num_actions=2, read=None):
    """A cell that counts the steps of an episode; values [..., n]: params times the count and the features."""

    def step(params, carry, obs, first, key=None):
        count = jnp.where(first, 0.0, carry) + 1
        if read is not None:
            read.append((count, obs))
        seen = jnp.stack([count, obs.features[..., 0]], -1)
        return count, seen @ params["weights"]

    def unroll(params, carry, obs, first, key=None):
        counts, out = [], []
        for t in range(first.shape[0]):
            carry, values = step(params, carry, jax.tree.map(lambda x, t=t: x[t], obs), first[t])
            counts, out = [*counts, carry], [*out, values]
        return jnp.stack(counts), jnp.stack(out)

    def init(key, obs):
        return {"weights": jax.random.normal(key, (2, num_actions))}

    return Network(init, lambda n: jnp.zeros(n), step, unroll)


def dealing(window):
    """A buffer that deals one and the same batch of windows, and whose state is the priorities that it was told."""
    size = window.steps.reward.shape[1]
    sample = Sample(window, jnp.arange(size), jnp.linspace(0.5, 1.0, size))
    return Buffer(
        lambda example: jnp.zeros(size), lambda state, rollout: state, lambda state, key, discount: sample,
        lambda state, indices, priorities: state.at[indices].set(priorities), lambda state: jnp.bool_(True),
    )  # fmt: skip


def windows(length, size, seed=0):
    """Windows with endings of both kinds and a dead step."""
    rng = np.random.default_rng(seed)
    shape = (length, size)
    terminated, truncated = rng.random(shape) < 0.15, rng.random(shape) < 0.15
    first = np.concatenate([rng.random((1, size)) < 0.5, (terminated | truncated)[:-1]])

    def seen(values):
        return Observation(jnp.asarray(values, jnp.float32)[..., None], legal=jnp.asarray(legal))

    legal = rng.random((*shape, 2)) < 0.7
    legal[..., 0] |= ~legal[..., 1]
    steps = Transition(
        seen(rng.normal(size=shape)), jnp.asarray(first), jnp.asarray(rng.integers(0, 2, shape), jnp.int32),
        jnp.asarray(rng.normal(size=shape), jnp.float32), jnp.asarray(terminated), jnp.asarray(truncated),
        jnp.asarray(rng.random(shape) < 0.9), seen(rng.normal(size=shape)), (),
    )  # fmt: skip
    return Rollout(steps, jnp.asarray(rng.integers(0, 9, size), jnp.float32))


@pytest.mark.parametrize(("burn_in", "n", "double", "rescaled"), [(0, 1, False, False), (2, 3, True, True)])
def test_one_gradient_step_by_hand(burn_in, n, double, rescaled):
    """Loops over windows and steps give the same priorities, loss and, by differences, the same gradient."""
    length, size, discount = 5, 3, 0.9
    window = windows(burn_in + length, size)
    config = r2d2.Config(
        length=length, burn_in=burn_in, backup_steps=n, double=double, rescaled=rescaled, gradient_steps=1.0,
        learning_rate=0.1, discount=discount, target_rate=0.0, eta=0.7, max_gradient_norm=INFINITE,
    )  # fmt: skip
    network = counter()
    agent = r2d2.r2d2(network, envs.make("masked_walk").action_space, config, dealing(window), plain_descent())
    timestep = vectorize(envs.make("masked_walk"), size).reset(jax.random.key(0), ())[1]
    state = agent.init(jax.random.key(0), timestep)
    state = state._replace(target=jax.tree.map(lambda x: x + 0.3, state.params))
    one = jax.tree.map(lambda x: x[:1, :1], window.steps)._replace(extras=jnp.zeros((1, 1)))
    after, metrics = contracts.quick(agent.learn)(state, jax.random.key(1), Rollout(one, jnp.zeros(1)))

    steps, carry = jax.tree.map(np.asarray, (window.steps, window.carry))
    target = np.asarray(state.target["weights"], float)
    squeeze = (lambda x: np.sign(x) * (np.sqrt(abs(x) + 1) - 1) + 1e-3 * x) if rescaled else (lambda x: x)

    def stretch(x):  # by bisection
        if not rescaled:
            return x
        low, high = -1e4, 1e4
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if squeeze(middle) < x else (low, middle)
        return low

    def errors(weights, online):
        """[length, size]; `online` is what chooses the action of the target."""
        found = np.zeros((length, size))
        for b in range(size):
            counts = [0.0 if steps.first[0, b] else carry[b]]
            for t in range(burn_in + length):
                counts.append((0.0 if steps.first[t, b] else counts[-1]) + 1)
                if t == 0:
                    counts[-1] = counts[0] + 1

            def values(weights, count, x):
                return np.array([count, x]) @ weights

            def beyond(t, b=b, counts=counts):
                x, count = steps.next_obs.features[t, b, 0], counts[t + 1] + 1
                judge = values(online if double else target, count, x)
                legal = [a for a in range(2) if steps.next_obs.legal[t, b, a]]
                return stretch(values(target, count, x)[max(legal, key=lambda a: judge[a])])

            for t in range(burn_in, burn_in + length):
                if not steps.valid[t, b]:
                    continue
                total, weight = 0.0, 1.0
                for k in range(t, min(t + n, burn_in + length)):
                    total, weight = total + weight * steps.reward[k, b], weight * discount
                    last = k + 1 == min(t + n, burn_in + length) or not steps.valid[k + 1, b]
                    if steps.terminated[k, b]:
                        break
                    if steps.truncated[k, b] or last:
                        total += weight * beyond(k)
                        break
                chosen = values(weights, counts[t + 1], steps.obs.features[t, b, 0])[steps.action[t, b]]
                found[t - burn_in, b] = chosen - squeeze(total)
        return found

    weights = np.asarray(state.params["weights"], float)
    valid, importance = steps.valid[burn_in:], np.linspace(0.5, 1.0, size)

    def loss(moved):
        return np.sum(importance * errors(moved, weights) ** 2 / 2 * valid) / valid.sum()

    sizes = abs(errors(weights, weights))
    expected = 0.7 * sizes.max(0) + 0.3 * sizes.sum(0) / valid.sum(0)
    np.testing.assert_allclose(after.buffer, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["loss"].value(), loss(weights), rtol=1e-4)
    gradient = np.zeros((2, 2))
    for place in np.ndindex(2, 2):
        nudge = np.zeros((2, 2))
        nudge[place] = 1e-5
        gradient[place] = (loss(weights + nudge) - loss(weights - nudge)) / 2e-5
    np.testing.assert_allclose(after.params["weights"], weights - 0.1 * gradient, rtol=1e-3, atol=1e-4)


def test_carries_restart_where_episodes_begin_and_are_stored():
    """A cell that counts: in acting, in what is stored, and in the windows it is the steps since the episode began."""
    env = envs.make("memory_chain", length=4)
    config = r2d2.Config(length=5, burn_in=2, gradient_steps=0.0)
    buffer = sequence(3 * 24, 64, 7, stride=2, min_size=1)
    agent = r2d2.r2d2(counter(env.action_space.n), env.action_space, config, buffer)
    trainer = loop.make_trainer(agent, vectorize(env, 3), 6)
    state = contracts.quick(trainer.init)(jax.random.key(0))
    step = contracts.quick(trainer.step)
    for _ in range(6):
        state = step(state)[0]
    window = contracts.quick(buffer.sample)(state.agent.buffer, jax.random.key(1), 0.9).items
    network = counter(env.action_space.n)
    counts, _ = network.unroll(state.agent.params, window.carry, window.steps.obs, window.steps.first)
    first, count = np.asarray(window.steps.first), np.asarray(counts)
    assert first[1:].any() and not first.all()
    np.testing.assert_array_equal(count[first], 1)
    np.testing.assert_array_equal(count[1:][~first[1:]], count[:-1][~first[1:]] + 1)
    share_left = np.asarray(window.steps.obs.features)[..., 0]  # it stays at 1 for the second step
    np.testing.assert_allclose(share_left, 1 - np.maximum(count - 2, 0) / 4, atol=1e-6)
    assert set(np.asarray(window.carry)[~first[0]]) == {1.0, 2.0, 3.0, 4.0}


def test_the_stored_carry_is_the_one_that_acted():
    """Before the first update, values along a window from its stored carry are those that the agent acted by."""
    env = agents.adapt("r2d2", envs.make("t_maze", length=2))
    config = r2d2.Config(
        buffer_size=96, batch_size=32, learning_starts=96, length=6, burn_in=0, stride=3, epsilon_start=0.0,
        epsilon_end=0.0, dueling=True,
    )  # fmt: skip
    settings = Settings((8,), cell="lstm", cell_size=4)
    agent = agents.make("r2d2", env, settings, config)
    trainer = loop.make_trainer(agent, vectorize(env, 4), 12)
    state = contracts.quick(trainer.init)(jax.random.key(0))
    state = contracts.quick(trainer.step)(state)[0]
    memory = sequence(96, 32, 6, 3)
    window = contracts.quick(memory.sample)(state.agent.buffer, jax.random.key(1), 0.9).items
    network = value_networks.q_network(settings, env.action_space.n, aggregate=value_networks.AGGREGATIONS["mean"])
    values = contracts.quick(network.unroll)(state.agent.params, window.carry, window.steps.obs, window.steps.first)[1]
    greedy = jnp.argmax(distributions.masked(values, window.steps.obs.legal), -1)
    np.testing.assert_array_equal(greedy, window.steps.action)
    assert len(set(np.asarray(greedy).ravel())) > 1
    assert any(np.abs(leaf).max() > 0.01 for leaf in jax.tree.leaves(window.carry))


def test_another_scale_and_back():
    """h has the inverse that the targets take, and its slope falls from 1/2 on."""
    x = jnp.array([-1000.0, -3.0, -0.01, 0.0, 0.5, 20.0, 5000.0])
    np.testing.assert_allclose(r2d2.restore(r2d2.rescale(x)), x, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(r2d2.rescale(jnp.array([3.0, -8.0])), [1.003, -2.008], rtol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_new_cell_remembers_for_as_long_as_it_is_told(cell):
    """Its slowest unit keeps 1 / e of a carry of ones for about as many steps, its fastest forgets; others halve it."""
    obs, first = Observation(jnp.zeros((1, 3))), jnp.zeros(1, bool)

    def kept(memory):
        network = value_networks.q_network(Settings((4,), cell=cell, cell_size=3, cell_memory=memory), 2)
        params = network.init(jax.random.key(0), obs)
        gates = params["cell"]["params"]  # the gates' biases alone: what is recurrent would drive the carry
        quiet = {name: gate | {"kernel": 0 * gate["kernel"]} for name, gate in gates.items()}
        step = contracts.quick(lambda carry: network.step(params | {"cell": {"params": quiet}}, carry, obs, first)[0])
        carry = jax.tree.map(jnp.ones_like, network.begin(1))
        for _ in range(50):
            carry = step(carry)
        return np.asarray(jax.tree.leaves(carry)[0])[0]

    slow = kept(51)
    np.testing.assert_allclose(slow[[0, -1]], [0.5**50, (50 / 51) ** 50], rtol=1e-4)
    np.testing.assert_allclose(kept(0), 0.5**50, rtol=1e-4)
    with pytest.raises(UsageError, match="cell_memory is 1: expected at least 2"):
        kept(1)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(UsageError, match="discrete action space"):
        r2d2.r2d2(counter(), Box(-1.0, 1.0, (2,)), r2d2.Config(), sequence(40, 2, 4))
