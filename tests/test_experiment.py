"""Training from Python: the result's state, metrics and policy; seeds alone and together; presets and settings."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import jaxrl
from jaxrl import agents, backend, envs, experiment, presets, run_folder, settings
from jaxrl.errors import UsageError
from jaxrl.evaluate import evaluate
from jaxrl.types import Observation

SMALL = {"num_envs": 4, "rollout_length": 8, "network": {"hidden": [16]}, "progress": False}


@pytest.fixture(scope="module", autouse=True)
def started_backend() -> None:
    """Start JAX before a run of several seeds asks for several devices: the other tests want theirs as they are."""
    jax.devices()


@pytest.fixture(scope="module")
def two_seeds() -> experiment.Result:
    return jaxrl.train("ppo", "cartpole", num_steps=256, num_seeds=2, seed=5, **SMALL)


def test_metrics_are_one_tidy_table(two_seeds: experiment.Result) -> None:
    metrics = two_seeds.metrics
    assert metrics.seed.tolist() == [5, 6] * 8 and metrics.env_steps.unique().tolist() == list(range(32, 257, 32))
    assert {"episode_return", "episode_length", "policy_loss", "value_loss", "entropy"} <= set(metrics.columns)
    ended = metrics.dropna()
    assert len(ended) > 0 and (ended.episode_return == ended.episode_length).all()


def test_a_seed_trains_alike_alone_and_among_others(two_seeds: experiment.Result) -> None:
    """To rounding: XLA may fuse a vmapped program differently."""
    alone = jaxrl.train("ppo", "cartpole", num_steps=256, seed=6, **SMALL)
    for one, both in zip(jax.tree.leaves(alone.agent_state(6)), jax.tree.leaves(two_seeds.agent_state(6)), strict=True):
        np.testing.assert_allclose(one, both, rtol=2e-3, atol=2e-5)
    own = two_seeds.metrics.query("seed == 6").episode_return.to_numpy()
    np.testing.assert_array_equal(alone.metrics.episode_return.to_numpy(), own)
    assert not np.array_equal(own, two_seeds.metrics.query("seed == 5").episode_return.to_numpy(), equal_nan=True)


def test_the_policy_acts_like_the_agent_in_evaluation(two_seeds: experiment.Result) -> None:
    """Greedy actions on 1000 raw observations, one by one and in a batch, are those of the agent's own network."""
    observations = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    parts, state = two_seeds.parts, two_seeds.agent_state(6)
    policy = two_seeds.policy_of(6)
    network = agents.networks.actor_critic(two_seeds.settings.network, 2)
    first = jnp.ones(1000, bool)
    _, (logits, _) = network.step(state.params, (), Observation(jnp.asarray(observations)), first)
    wanted = np.argmax(logits, -1)
    assert 0 < wanted.sum() < 1000
    np.testing.assert_array_equal(policy(observations), wanted)
    single = policy(observations[0])
    assert single.shape == () and single == wanted[0]
    assert [int(policy(list(map(float, each)))) for each in observations[:5]] == wanted[:5].tolist()
    returns = jax.jit(evaluate(parts.agent, parts.adapted, 3))(jax.random.key(0), state).returns
    assert returns.shape == (3,)


def test_a_policy_refuses_what_is_no_observation(two_seeds: experiment.Result) -> None:
    for wrong in (np.zeros(5), np.zeros((2, 2, 4)), "left", {"features": np.zeros(4)}):
        with pytest.raises(UsageError, match="does not fit the environment's space"):
            two_seeds.policy(wrong)
    with pytest.raises(UsageError, match=r"no seed 9 in this run: expected one of \[5, 6\]"):
        two_seeds.policy_of(9)


def test_a_policy_reads_discrete_observations_and_masks() -> None:
    result = jaxrl.train("ppo", "masked_walk", num_steps=64, **SMALL)
    space = result.parts.environment.observation_space
    everywhere = np.arange(space.n) if hasattr(space, "n") else np.zeros((4, *space.shape), space.dtype)
    for legal in ([True, False], [False, True]):
        actions = result.policy(everywhere, legal=np.broadcast_to(legal, (len(everywhere), 2)))
        assert (actions == np.argmax(legal)).all()
    with pytest.raises(UsageError, match="masks actions"):
        result.policy(everywhere)


def test_a_recurrent_policy_remembers_until_it_is_reset() -> None:
    result = jaxrl.train(
        "ppo", "pendulum", num_steps=64, num_envs=4, rollout_length=8, progress=False,
        network={"cell": "gru", "cell_size": 8, "hidden": [8]}, config={"chunk_length": 4, "num_minibatches": 2},
    )  # fmt: skip
    policy, obs = result.policy, np.array([1.0, 0.0, 0.5], np.float32)
    first, second = policy(obs), policy(obs)
    assert first.shape == (1,) and not np.array_equal(first, second)
    policy.reset()
    np.testing.assert_array_equal(policy(obs), first)
    batch = np.stack([obs, obs])
    np.testing.assert_allclose(policy(batch), [first, first], rtol=1e-5)
    np.testing.assert_allclose(policy(batch, first=[True, False]), [first, second], rtol=1e-5)


def test_a_run_is_loaded_as_it_was_trained(two_seeds: experiment.Result, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained = jaxrl.train("ppo", "cartpole", num_steps=256, num_seeds=2, seed=5, folder=folder, **SMALL)
    loaded = jaxrl.load(folder)
    assert loaded.settings == trained.settings and loaded.metrics.equals(trained.metrics)
    assert loaded.metrics.equals(two_seeds.metrics)
    raw = [jax.tree.leaves((state.agent, state.env, state.timestep)) for state in (loaded.state, two_seeds.state)]
    assert all(np.array_equal(a, b) for a, b in zip(*raw, strict=True))
    assert run_folder.read_settings(folder).hash() == two_seeds.settings.hash()


@pytest.mark.parametrize(("algorithm", "environment"), presets.PRESETS, ids=str)
def test_every_preset_is_valid(algorithm: str, environment: str | None) -> None:
    needs = {"her": "bit_flipping", "linear_sarsa": "mountain_car"}
    needs |= dict.fromkeys(("ddpg", "td3", "sac"), "pendulum")
    needs |= dict.fromkeys(("mappo", "maddpg", "matd3", "vdn", "qmix", "coma"), "simple_spread")
    default = needs.get(algorithm, "cliff_walking" if agents.algorithm(algorithm).tabular else "cartpole")
    resolved = experiment.resolve(algorithm, environment or default, {})
    assert presets.preset(algorithm, environment or default).source
    trainer = experiment.assemble(resolved).trainer
    state = jax.eval_shape(trainer.init, experiment.keys(resolved))
    assert jax.tree.structure(jax.eval_shape(trainer.step, state)[0]) == jax.tree.structure(state)


def test_every_algorithm_has_a_preset() -> None:
    assert {algorithm for algorithm, environment in presets.PRESETS if environment is None} == set(agents.names())
    assert {environment for _, environment in presets.PRESETS if environment} <= set(envs.names())


def test_settings_survive_yaml_and_have_one_hash() -> None:
    resolved = experiment.resolve(
        "ppo", "CartPole-v1", {"config": {"learning_rate": 3e-4, "total_updates": float("inf")}}
    )
    again = settings.check(settings.parse_yaml(resolved.to_yaml()))
    assert again == resolved and again.hash() == resolved.hash() and yaml.safe_load(resolved.to_yaml())
    assert again.environment == "cartpole" and again.config.total_updates == float("inf")
    assert again.network.hidden == (64, 64) and isinstance(again.config, agents.algorithm("ppo").config)
    other = experiment.resolve("ppo", "CartPole-v1", {"config": {"learning_rate": 3e-4}})
    assert other.hash() != resolved.hash() and other.config.total_updates == other.num_updates


NUMBERS = {
    "1e-3": 0.001, "-2.5E+2": -250.0, ".5e1": 5.0, "3": 3, "0.1": 0.1, "inf": float("inf"), "-.inf": float("-inf"),
    "tanh": "tanh", "true": True, "[1, 2e0]": [1, 2.0], "null": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_in_yaml_are_numbers(text: str, value: object) -> None:
    read = settings.parse_yaml(text)
    assert read == value and type(read) is type(value)


def test_seeds_are_shared_out_to_cores_only_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that runs already keeps its devices, and says nothing."""
    before = jax.local_device_count()
    backend.use_cores(8)
    assert jax.local_device_count() == before


def test_small_trainings_run_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large updates, several seeds, wide layers and unknown worlds keep all threads; a user's own number stays."""
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("NPROC", "")
    monkeypatch.delenv("NPROC")
    for size in (
        ("breakout", 64, 1, ()),
        ("cartpole", 8192, 1, ()),
        ("cartpole", 8, 2, ()),
        ("cartpole", 8, 1, (512,)),
    ):
        backend.suit_small_updates(*size)
        assert "NPROC" not in os.environ
    backend.suit_small_updates("cartpole", 8, 1, (64, 64))
    assert os.environ["NPROC"] == "1"
    monkeypatch.setenv("NPROC", "4")
    backend.suit_small_updates("cartpole", 8, 1, (64, 64))
    assert os.environ["NPROC"] == "4"


def test_the_cache_of_compiled_programs_is_the_users_own_if_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        backend.use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        backend.use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jaxrl" / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
