"""What `jaxrl analyse` says of a run: states, places, gaps, streams and errors against worlds that are known."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl import analyse, analyse_states, exact, experiment, value_networks
from jaxrl.command_line import main
from jaxrl.types import Observation

LAYOUT = "S.G/.#./.#."  # four cells can be acted in: those on the right are only behind the goal


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of Q-learning on the small map."""
    folder = tmp_path_factory.mktemp("runs") / "table"
    jaxrl.train(
        "q_learning", "gridworld", num_steps=40_000, num_envs=16, num_seeds=2, seed=3, folder=folder, progress=False,
        environment_options={"layout": LAYOUT}, config={"discount": 0.9, "epsilon": 1.0},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def dueling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "dueling"
    jaxrl.train(
        "dueling_dqn", "gridworld", num_steps=2_000, folder=folder, progress=False,
        environment_options={"layout": LAYOUT}, network={"hidden": (16, 16)},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def states(table: Path) -> analyse_states.States:
    result = experiment.load(table)
    found = analyse_states.all_states(result, result.agent_state(4))
    assert found is not None
    return found


def test_states_lie_on_the_map(states: analyse_states.States) -> None:
    """All cells that can be acted in, each where it is, with an arrow that follows the greedy action."""
    assert states.cells is not None and states.arrows is not None
    np.testing.assert_array_equal(states.cells, [[0, 0], [0, 1], [1, 0], [2, 0]])
    np.testing.assert_array_equal(states.features[:, 0], [0, 1, 3, 6])
    np.testing.assert_array_equal(states.arrows, [[0, 1], [0, 1], [-1, 0], [-1, 0]])


def test_values_and_errors_are_those_of_the_table(states: analyse_states.States, table: Path) -> None:
    """By hand: a step to the goal is worth 10, two -0.1 + 0.9 * 10, three -0.1 + 0.9 * 8.9, and four 7.019."""
    result = experiment.load(table)
    np.testing.assert_array_equal(states.values, np.asarray(result.agent_state(4).values)[[0, 1, 3, 6]])
    np.testing.assert_allclose(states.best, [8.9, 10, 7.91, 7.019], atol=1e-4)
    world = result.parts.environment
    optimal = exact.value_iteration(world.model(world.params), 0.9)[[0, 1, 3, 6]]
    np.testing.assert_allclose(states.optimal, optimal, atol=1e-9)
    lines = {row[0]: row[1] for row in analyse.figures(states, None)}
    assert lines["greedy action is optimal"] == "in 100.0% of the states"
    error = float(lines["error of the action values"].split()[3].rstrip(","))
    np.testing.assert_allclose(error, np.sqrt(np.mean((states.values - optimal) ** 2)), rtol=1e-3, atol=1e-9)
    worse = states._replace(values=states.values + np.array([3.0, 0, 0, 0]))  # up into the wall, in two of four
    lines = {row[0]: row[1] for row in analyse.figures(worse, None)}
    assert lines["greedy action is optimal"] == "in 50.0% of the states"


def test_gaps_are_the_best_minus_the_second_best() -> None:
    """By hand, with an illegal action, with a single legal one, and in a world of one action."""
    values = np.array([[1.0, 4.0, 2.5], [np.nan, 3.0, -1.0], [np.nan, 7.0, np.nan], [2.0, 2.0, 0.0]])
    states = analyse_states.States(values, np.zeros((4, 2)))
    np.testing.assert_array_equal(states.gaps, [1.5, 4.0, np.nan, 0.0])
    np.testing.assert_array_equal(states.best, [4.0, 3.0, 7.0, 2.0])
    np.testing.assert_array_equal(analyse_states.States(values[:, 1:2], np.zeros((4, 2))).gaps, [np.nan] * 4)
    (line,) = [row[1] for row in analyse.figures(states, None) if row[0] == "action gap"]
    assert line == "mean 1.833, median 1.5; 33.3% are below 0.08, 1 % of the range of the values"


@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_streams_are_those_of_the_network(dueling: Path, aggregation: str) -> None:
    """The value stream is what the network computes before it joins, and the advantages differ by one number a state.

    Joined in the other way, the same parameters give the values that are said to be those.
    """
    result = experiment.load(dueling)
    config = result.settings.config._replace(aggregation=aggregation)
    settings = result.settings.model_copy(update={"config": config})
    result, state = experiment.Result(settings, result.parts, result.state, []), result.agent_state(0)
    states = analyse_states.all_states(result, state)
    assert states is not None and states.joined is not None
    apart = value_networks.q_network(
        settings.network, 4, aggregate=lambda value, advantage, axis: jnp.concatenate([value, advantage], axis)
    )
    obs = Observation(jax.nn.one_hot(states.features[:, 0].astype(int), 9))
    both = np.asarray(apart.step(state.params, (), obs, jnp.ones(4, bool))[1], np.float64)
    value, advantage = both[:, 0], both[:, 1:]
    parts = analyse.streams(states.values, aggregation)
    np.testing.assert_allclose(parts.value, value, atol=1e-5)
    np.testing.assert_allclose(np.ptp(parts.advantage - advantage, axis=1), 0, atol=1e-5)
    subtracted = advantage.max(-1) if aggregation == "mean" else advantage.mean(-1)
    np.testing.assert_allclose(states.joined, value[:, None] + advantage - subtracted[:, None], atol=1e-5)


def test_episodes_stand_in_for_a_world_without_states() -> None:
    """Each is there up to its end, with the values that the scaled network of PQN stands for."""
    config = {"reward_scale": 0.1, "epsilon_end": 1.0}
    result = jaxrl.train("pqn", "cartpole", num_steps=4_096, num_envs=16, progress=False, config=config)
    state = result.agent_state(0)
    assert analyse_states.all_states(result, state) is None
    states = analyse_states.episode_states(result, state, jax.random.key(0))
    assert states.episodes is not None and states.features.shape == (len(states.episodes), 4)
    np.testing.assert_array_equal(np.unique(states.episodes), np.arange(analyse_states.EPISODES))
    opens = np.diff(states.episodes, prepend=-1) > 0
    assert (np.abs(states.features[opens]) <= 0.05).all()  # where CartPole begins
    jumps = np.abs(np.diff(states.features[:, 0]))  # the cart moves by 0.02 times its speed
    assert (jumps[~opens[1:]] <= 0.02 * np.abs(states.features[:-1, 1])[~opens[1:]] + 1e-5).all()
    network = value_networks.q_network(result.settings.network, 2)
    out = network.step(state.params, (), Observation(jnp.asarray(states.features[:7])), jnp.ones(7, bool))[1]
    np.testing.assert_allclose(states.values[:7], out / 0.1, rtol=1e-4, atol=1e-4)


def test_the_most_telling_features_are_found() -> None:
    """Of five, those that the values follow, whatever their scale; a constant one tells nothing."""
    features = np.random.default_rng(0).normal(size=(500, 5)) * [1, 1e-3, 1e3, 0, 1]
    values = 2 * features[:, 1] * 1e3 - features[:, 4]
    assert analyse.telling(features, values) == [1, 4]
    assert analyse.telling(features[:, :1], values) == [0, 0]


def test_the_command_draws_and_tells(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture shows more than one colour; a seed of the run can be chosen."""
    assert main(["analyse", str(table), "--seed", "4", "--output", str(tmp_path / "a.png")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("q_learning on gridworld, seed 4: all states that can be met\n")
    assert "mean 8.457, from 7.019 to 10" in told
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and len(picture.convert("RGB").getcolors(1_000_000)) > 100
    assert main(["analyse", str(table)]) == 0
    assert (table / "analysis.png").exists() and "seed 3" in capsys.readouterr().out


def test_a_dueling_run_has_more_to_show(dueling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(dueling)]) == 0
    told = capsys.readouterr().out
    assert "value stream" in told and "joined by the max" in told


MISTAKES = {
    "no such folder": "nowhere",
    "has no config.yaml": "FOREIGN",
    "no seed 9 in this run": "RUN --seed 9",
    "unknown kind of picture '.gif'": "RUN --output film.gif",
    "there is no folder": "RUN --output no/where.png",
    "ppo learns no action values": "POLICY",
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_line(message: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = MISTAKES[message].replace("RUN", str(table))
    if words == "POLICY":
        jaxrl.train("ppo", "chain", num_steps=64, num_envs=8, rollout_length=8, folder=tmp_path / "p", progress=False)
        words = str(tmp_path / "p")
    assert main(["analyse", *words.replace("FOREIGN", str(tmp_path)).split()]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and told.startswith("jaxrl: error: ")
