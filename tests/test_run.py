"""The host side: chunks and hooks change nothing, one compilation serves all, seeds on devices are seeds alone."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import lane

from jaxrl import agents, envs, evaluate, loop, run
from jaxrl.errors import UsageError
from jaxrl.types import Trainer
from jaxrl.vectorize import vectorize


@pytest.fixture(scope="module")
def trainer():
    env = envs.make("random_mdp", max_steps=4)
    return loop.make_trainer(agents.make("q_learning", env), vectorize(env, 3), 5)


def start(trainer, key=0):
    return jax.jit(trainer.init)(jax.random.key(key))


def test_chunks_and_hooks_change_nothing(trainer):
    """Every size of chunk, with and without hooks, leads to the same bits."""
    seen = []

    def hook(env_steps, state, metrics):
        seen.append((env_steps, int(state.updates), metrics["error"].total.shape))

    whole = run.run(trainer, start(trainer), 7)
    for chunk in (1, 3, 7, 100):
        seen.clear()
        contracts.assert_equal(run.run(trainer, start(trainer), 7, chunk, [hook]), whole)
        ends = [*range(chunk, 7, chunk), 7]
        assert [(steps, updates) for steps, updates, _ in seen] == [(15 * end, end) for end in ends]
        assert [shape for *_, shape in seen] == [(end - begin,) for begin, end in zip([0, *ends], ends, strict=False)]
    assert whole[1]["error"].total.shape == (7,)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(whole[1]))
    contracts.assert_close(whole[0], jax.jit(loop.train(trainer, 7))(jax.random.key(0))[0], 1e-5)


def test_one_compilation_serves_a_hundred_chunks(trainer):
    """Python runs the step while the first chunk is compiled, and never again, also where the last chunk is short."""
    counts = []
    for num_updates, chunk in ((2, 2), (199, 2)):
        counted = contracts.Counted(trainer.step)
        run.run(Trainer(trainer.init, counted, trainer.steps_per_update), start(trainer), num_updates, chunk)
        counts.append(counted.count)
    assert counts[0] == counts[1] <= 2


def test_steps_are_counted_beyond_32_bits(trainer):
    """Environment steps are a Python int, and the counter of updates stays at its largest value."""
    seen = []
    state = start(trainer)._replace(updates=jnp.int32(2**31 - 3))
    run.run(trainer, state, 4, 1, [lambda env_steps, state, metrics: seen.append(env_steps)])
    assert seen == [15 * (2**31 - 2)] + [15 * (2**31 - 1)] * 3


def test_no_update_is_an_error(trainer):
    with pytest.raises(UsageError, match="at least 1"):
        run.run(trainer, start(trainer), 0)


def test_evaluation_leaves_training_alone(trainer):
    """Training is bit-identical with and without evaluations between its chunks."""
    env = envs.make("random_mdp", max_steps=4)
    play = jax.jit(evaluate.evaluate(agents.make("q_learning", env), env, 5))
    returns = []

    def hook(env_steps, state, metrics):
        returns.append(np.asarray(play(jax.random.fold_in(jax.random.key(9), env_steps), state.agent).returns))

    contracts.assert_equal(run.run(trainer, start(trainer), 6, 2, [hook]), run.run(trainer, start(trainer), 6, 2))
    assert len(returns) == 3 and all(each.shape == (5,) for each in returns)


@pytest.mark.parametrize(("num_seeds", "num_devices", "large"), [(4, 2, 10**9), (3, 1, 10**9), (4, 2, 1)])
def test_seeds_on_devices_are_seeds_alone(trainer, num_seeds, num_devices, large, monkeypatch):
    """Every seed of one program ends as it does alone; the seeds share the devices where their number divides."""
    if jax.local_device_count() != 2:
        pytest.fail("the suite asks for two CPU devices")
    monkeypatch.setattr(run, "_LARGE", large)
    keys = jax.random.split(jax.random.key(0), num_seeds)
    many, state, seen = run.seeds(trainer), jax.jit(run.seeds(trainer).init)(keys), []
    assert len(state.updates.sharding.device_set) == num_devices
    state, metrics = run.run(many, state, 2, 1, [lambda env_steps, *_: seen.append(env_steps)])
    assert seen == [15, 30] and metrics["error"].total.shape == (2, num_seeds)
    for i in range(num_seeds):
        alone, reported = run.run(trainer, jax.jit(trainer.init)(keys[i]), 2)
        contracts.assert_close(lane(state, i), alone, 1e-5)
        contracts.assert_close(jax.tree.map(lambda x, i=i: x[:, i], metrics), reported, 1e-5)
