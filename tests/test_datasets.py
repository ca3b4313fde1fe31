"""Offline data sets: what is read is what was written, to the bit, and a foreign file is refused in one line."""

import json
import zipfile

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import agents, datasets, envs, loop
from jaxrl.buffers.hindsight import hindsight
from jaxrl.buffers.sequence import sequence
from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError
from jaxrl.keys import inline
from jaxrl.statistics import Mean
from jaxrl.types import Observation, Rollout, Transition
from jaxrl.vectorize import vectorize

WORLDS = {
    "with goals": lambda: envs.make("goal_grid", max_steps=7),
    "masked": lambda: envs.make("taxi", masked=True, max_steps=5),
    "pictures": lambda: envs.make("minigrid_empty", size=5, view="symbolic", max_steps=6),
    "several agents": lambda: envs.make("switch", max_steps=4),
}


def assert_same(a, b):
    """Bit for bit, NaN payloads and signs of zero included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


@pytest.fixture(scope="module", params=WORLDS)
def played(request):
    env = WORLDS[request.param]()
    return env, datasets.collect(agents.make("random", env), (), env, 100, 6, seed=3)


def test_what_is_read_is_what_was_written(played, tmp_path):
    """Steps in rows, and steps in one line; endings of both kinds, next_obs behind each, masks and goals."""
    env, rollout = played
    assert rollout.steps.reward.shape[:2] == (17, 6) and rollout.steps.ended.any()
    path, metadata = tmp_path / "steps.npz", {"environment": "a world", "nested": {"return": -1.5, "names": ["é"]}}
    datasets.save(path, rollout, metadata)
    read = datasets.load(path)
    assert_same(read.rollout, rollout)
    assert read.metadata == metadata and all(isinstance(x, np.ndarray) for x in jax.tree.leaves(read.rollout))
    line = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout.steps)
    datasets.save(path, line)
    assert_same(datasets.load(path).rollout.steps, line)


def test_an_observation_is_written_once(played, tmp_path):
    """Beside the observations, the file holds only those that ended an episode or the data."""
    _, rollout = played
    datasets.save(tmp_path / "steps.npz", rollout)
    with np.load(tmp_path / "steps.npz") as archive:
        elsewhere, first = archive["next_obs_at"], archive["obs.features"].shape
        assert archive["next_obs.features"].shape[0] == elsewhere.sum() < 0.5 * elsewhere.size
        assert first[:2] == (17, 6) and archive["reward"].dtype == np.float32
    ended = rollout.steps.ended.reshape(17, 6, -1).any(-1)
    ended[-1] = True
    assert (ended | ~elsewhere).all()


def test_any_dtype_and_any_container(tmp_path):
    """NaN, -0.0, bfloat16, wide integers, empty and scalar leaves, names with dots and slashes, a carry."""
    steps = Transition(
        Observation({"a.b": np.array([0.0, -0.0, np.nan], np.float16), "a": {"b": np.arange(3, dtype=np.uint8)}}),
        np.array([True, False, True]), (np.arange(3, dtype=np.int64), [np.zeros((3, 0))]), np.arange(3.0),
        np.array([False, True, False]), np.zeros(3, bool), np.ones(3, bool),
        Observation({"a.b": np.array([-0.0, np.nan, 7.0], np.float16), "a": {"b": np.arange(1, 4, dtype=np.uint8)}}),
        {"x/../y": np.asarray(jnp.array([1.0, -2.0, jnp.inf], jnp.bfloat16)), "none": None, "empty": ()},
    )  # fmt: skip
    rollout = Rollout(steps, {"count": np.array(3, np.uint32)})
    datasets.save(tmp_path / "odd.npz", rollout)
    assert_same(datasets.load(tmp_path / "odd.npz").rollout, rollout)
    with np.load(tmp_path / "odd.npz") as archive:
        assert archive["next_obs_at"].tolist() == [False, False, True]  # the same bits, not the same numbers


def test_a_record_of_another_kind_becomes_a_dict(tmp_path):
    env = envs.make("chain")
    steps = datasets.collect(agents.make("random", env), (), env, 4, 2).steps
    datasets.save(tmp_path / "steps.npz", steps._replace(extras=Mean(steps.reward, steps.first)))
    extras = datasets.load(tmp_path / "steps.npz").rollout.steps.extras
    assert_same(extras, {"total": steps.reward, "count": steps.first})


def test_collect_plays_as_the_loop_does():
    """The same key gives the same steps as `loop.collect`, and another seed gives others."""
    env = envs.make("t_maze", length=2)
    agent = agents.make("random", env)
    first, again, other = (datasets.collect(agent, (), env, 20, 4, seed) for seed in (0, 0, 1))
    assert_same(first, again)
    assert contracts.differs(first.steps.action, other.steps.action) and first.steps.first[0].all()
    venv = vectorize(env, 4)
    reset_key, act_key = jax.random.split(inline(jax.random.key(0)))
    state, timestep = venv.reset(reset_key, env.params)
    expected = loop.collect(agent, venv, 5)(act_key, (), state, timestep, agent.begin(4), env.params)[3]
    contracts.assert_equal(expected, jax.tree.map(jnp.asarray, first))


@pytest.mark.parametrize("kind", ["uniform", "hindsight", "sequence"])
def test_into_a_buffer_and_out_again(kind, tmp_path):
    """What a buffer holds is what was put in, oldest first: all of it, or the newest part that it has room for."""
    env = envs.make("bit_flipping", num_bits=8)
    rollout = datasets.collect(agents.make("random", env), (), env, 96, 4, seed=1)
    for capacity in (96, 48):
        buffer = {
            "uniform": lambda c: uniform(c, 8), "sequence": lambda c: sequence(c, 8, 3),
            "hindsight": lambda c: hindsight(c, 8, env.hindsight, env.max_steps),
        }[kind](capacity)  # fmt: skip
        state = datasets.to_buffer(buffer, rollout, length=6)
        newest = jax.tree.map(lambda x, c=capacity: x[-c // 4 :], rollout.steps)
        assert_same(datasets.from_buffer(state).steps, newest)
    assert bool(buffer.ready(state))
    with pytest.raises(UsageError, match="length is 7, but must divide the 24 steps"):
        datasets.to_buffer(buffer, rollout, length=7)


def test_a_file_that_is_none_is_refused(tmp_path):
    """In one line that names it: missing, foreign, damaged anywhere, of another version."""
    env = envs.make("chain")
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    datasets.save(good, datasets.collect(agents.make("random", env), (), env, 40, 4))
    content = good.read_bytes()
    with np.load(good) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays["header"]))

    def refused(message):
        with pytest.raises(UsageError, match=message) as caught:
            datasets.load(bad)
        assert str(bad) in str(caught.value) and "\n" not in str(caught.value)

    refused("no such file")
    for junk in (b"", b"not a data set", content[: len(content) // 2], content[:200] + b"\0" * 40 + content[240:]):
        bad.write_bytes(junk)
        refused("not a readable data set")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    bad.write_bytes((tmp_path / "plain.npy").read_bytes())
    refused("not a readable data set")
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("something", "else")
    refused("not a readable data set")
    for changes, message in (
        ({"format": "another"}, "its format is 'another'"), ({"version": 99}, "written in format version 99"),
        ({"structure": {"obs": {"array": "nowhere", "dtype": "float32"}}}, "not a readable data set"),
    ):  # fmt: skip
        np.savez(bad, **(arrays | {"header": np.array(json.dumps(header | changes))}))
        refused(message)
    np.savez(bad, **(arrays | {"reward": np.array([object()], object)}))
    refused("not a readable data set")


def test_what_cannot_be_written_is_refused(tmp_path):
    env = envs.make("chain")
    steps = datasets.collect(agents.make("random", env), (), env, 8, 4).steps
    path = tmp_path / "steps.npz"
    for extras, metadata, message in (
        ({"key": jax.random.split(jax.random.key(0), (2, 4))}, {}, "random key"), ({1: steps.reward}, {}, "not texts"),
        ((), {"what": object()}, "JSON cannot"), ("a text", {}, "a leaf of dtype <U6"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            datasets.save(path, steps._replace(extras=extras), metadata)
        assert list(tmp_path.iterdir()) == []
