"""The benchmarks' own logic: how a bar is judged, that the tables are complete, what the report writes. No timing."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

from jaxrl import agents, envs, experiment

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def script(name):
    """A benchmark script as a module: they import each other as siblings."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module(name)


(
    judging, learning, records, replay, replay_worker, report, stepping, stepping_worker, studies, studies_report,
    tasks, throughput, worker,
) = map(
    script,
    (
        "judging", "learning", "records", "replay", "replay_worker", "report", "stepping", "stepping_worker", "studies",
        "studies_report", "tasks", "throughput", "worker",
    ),
)  # fmt: skip
TASK = tasks.LearningTask("t", "ppo", "cartpole", 1000, 475.0, "500", "somebody")


def peer_worker(peer):
    """The worker of a peer as a module: it needs the peer only once it measures."""
    path = BENCHMARKS / peer.worker
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Judging


def test_a_mean_is_judged_by_the_unfavourable_end_of_its_interval():
    tight, wide = [480.0, 481.0, 482.0, 483.0], [400.0, 500.0, 500.0, 560.0]
    assert learning.judge(TASK, tight)["passed"]
    verdict = learning.judge(TASK, wide)
    assert verdict["mean"] > TASK.bar > verdict["low"]
    assert not verdict["passed"]


def test_a_control_has_to_stay_below_its_bar_with_its_upper_end():
    control = TASK._replace(better="lower", bar=0.6)
    assert learning.judge(control, [0.5, 0.52, 0.48, 0.5])["passed"]
    verdict = learning.judge(control, [0.5, 0.5, 0.5, 0.85])
    assert verdict["mean"] < 0.6 < verdict["high"]
    assert not verdict["passed"]


def test_every_seed_is_a_plain_count_within_the_tolerance():
    every = TASK._replace(judged="every seed", bar=7.93, tolerance=0.01)
    verdict = learning.judge(every, [7.93, 7.93, 7.921])
    assert verdict["passed"] and verdict["seeds_at_bar"] == 3
    verdict = learning.judge(every, [9.0, 9.0, 7.919])
    assert not verdict["passed"] and verdict["seeds_at_bar"] == 2


@pytest.mark.parametrize("judged, better", [("mean", "higher"), ("mean", "lower"), ("every seed", "higher")])
def test_a_seed_that_diverged_fails_the_task(judged, better):
    assert not learning.judge(TASK._replace(judged=judged, better=better), [500.0, float("nan"), 500.0])["passed"]


def test_a_ratio_is_of_medians_and_its_spread_of_pairs():
    faster = throughput.judge([200.0, 300.0, 100.0], [100.0, 100.0, 200.0], tasks.Bar(tasks.FASTER, 2.0))
    assert (faster["ratio"], faster["ratio_low"], faster["ratio_high"]) == (2.0, 0.5, 3.0)
    assert faster["passed"]
    assert not throughput.judge([199.0], [100.0], tasks.Bar(tasks.FASTER, 2.0))["passed"]
    assert throughput.judge([0.7], [1.0], tasks.COMPILES)["passed"]
    assert not throughput.judge([0.71], [1.0], tasks.COMPILES)["passed"]


def test_a_curve_keeps_the_last_value_where_no_episode_ended():
    rows = [
        {"seed": seed, "env_steps": step, "episode_return": value}
        for seed, values in ((0, [float("nan"), 1.0, float("nan")]), (1, [2.0, 3.0, 5.0]))
        for step, value in zip((10, 20, 30), values, strict=True)
    ]
    curve = learning.learning_curve(rows)
    assert curve["steps"] == [20, 30]
    assert curve["iqm"] == [2.0, 3.0]


# The tables


def test_names_are_unique():
    for table in (tasks.LEARNING, (*tasks.SPEED, *tasks.WORLDS, *tasks.REPLAY), tasks.GROUPS):
        assert len({getattr(task, "name", task) for task in table}) == len(table)
    assert not set(tasks.GROUPS) & {task.name for task in (*tasks.SPEED, *tasks.WORLDS, *tasks.REPLAY)}


@pytest.mark.parametrize("task", tasks.LEARNING, ids=lambda task: task.name)
def test_a_learning_task_is_complete(task):
    assert task.published and task.source
    assert (task.better, task.judged) in (("higher", "mean"), ("lower", "mean"), ("higher", "every seed"))
    exactly = task.statistic == "exact return"
    assert task.tolerance > 0 if exactly else task.tolerance == 0, "a sum of floats is never exact"
    assert not task.control or any(task.control == other.name and other.better == "lower" for other in tasks.LEARNING)
    assert task.algorithm in agents.names() and task.environment in envs.names()
    options = {"num_steps": task.num_steps, "num_seeds": task.num_seeds, "seed": tasks.FIRST_SEED, **task.options}
    settings = experiment.resolve(task.algorithm, task.environment, options)
    assert settings.num_updates * settings.steps_per_update <= task.num_steps
    assert settings.seeds == list(range(1000, 1000 + task.num_seeds))
    environment = envs.make(settings.environment, **settings.environment_options)
    if exactly:
        assert environment.model is not None and (task.judged == "every seed" or task.better == "lower")
    else:
        assert environment.max_steps is not None or task.environment == "two_step_game"  # (over after two steps)
        assert task.statistic == "return" or environment.measure is not None


@pytest.mark.parametrize("task", tasks.SPEED, ids=lambda task: task.name)
def test_a_speed_task_is_complete(task):
    if isinstance(task, tasks.SpeedTask):
        own = task.peer == "jaxrl" or task.bars == (tasks.SOONER,)  # where only the end counts
        assert own or task.ours == task.theirs, "a peer trains with the very same settings"
        assert {bar.metric for bar in task.bars} <= set(throughput.FIGURES)
        sides = [task.ours, task.theirs]
    else:
        sides = [task.settings] if isinstance(task, tasks.RepeatTask) else []
        assert task.bar > 0
    for settings in sides:
        chosen = worker.resolved(settings)
        assert chosen.num_updates * chosen.steps_per_update == settings.num_steps
        assert set(settings.config) <= set(chosen.config._fields)


@pytest.mark.parametrize("task", tasks.WORLDS, ids=lambda task: task.name)
def test_a_stepping_task_is_complete(task):
    environment = envs.make(task.ours.environment, **task.ours.options)
    assert task.theirs.suite in tasks.SUITES and task.ours.suite == ""
    assert task.ours.rows == task.theirs.rows and set(tasks.PAIR) <= set(task.ours.rows)
    metrics = [bar.metric for bar in task.bars]
    assert {tasks.SCALES.metric, tasks.COMPILES_SOONER.metric} <= set(metrics)
    assert tasks.AT_BEST in metrics or set(tasks.AT_PAIR) <= set(metrics)
    assert 0 <= task.ours.shortest <= (environment.max_steps or 0)
    assert task.ours.options.get("view") == task.theirs.options.get("view")


def test_a_peer_has_pinned_requirements_and_a_worker():
    for peer in (*tasks.PEERS.values(), *tasks.SUITES.values(), tasks.FLASHBAX):
        lines = (BENCHMARKS / peer.requirements).read_text().splitlines()
        assert all("==" in line for line in lines if not line.startswith("#"))
        assert (BENCHMARKS / peer.worker).exists()


# Workers


def test_settings_survive_the_way_to_a_worker():
    for task in tasks.SPEED:
        if isinstance(task, tasks.StartTask):
            assert worker.read(json.dumps(task.command)) == list(task.command)
        else:
            settings = task.ours if isinstance(task, tasks.SpeedTask) else task.settings
            assert worker.read(json.dumps(settings._asdict())) == settings


def test_the_peer_is_told_the_same_settings_with_its_evaluation_off():
    told = peer_worker(tasks.PEERS["rejax"]).configuration(json.loads(json.dumps(tasks.training.PPO_SMALL._asdict())))
    assert (told["env"], told["num_envs"], told["num_steps"]) == ("CartPole-v1", 5, 100)
    assert (told["num_epochs"], told["num_minibatches"], told["learning_rate"]) == (5, 5, 7.5e-4)
    assert told["eval_freq"] == told["total_timesteps"] == 100_000 and told["skip_initial_evaluation"]
    told = peer_worker(tasks.PEERS["rejax"]).configuration(json.loads(json.dumps(tasks.training.DQN._asdict())))
    assert (told["num_epochs"], told["batch_size"], told["buffer_size"], told["ddqn"]) == (5, 100, 50_000, False)
    assert told["exploration_fraction"] == 0.5 and told["polyak"] == pytest.approx(0.98)


def result(speed):
    return {
        "steps_per_second": speed, "compile_seconds": 1.0, "seconds": [1.0], "returns": [490.0, 500.0], "devices": 1,
        "versions": {"jax": "1"},
    }  # fmt: skip


def two_rows(length):
    """A row ends in every `length` steps, and the observation is the number of the step."""

    def step(key, carry, action):
        steps = carry[0] + 1
        ended = steps == length
        return (jnp.where(ended, 0, steps), carry[1]), action.astype(jnp.float32), ended

    def reset(key):
        return jnp.zeros(2, jnp.int32), jnp.zeros((2, 3), jnp.float32)

    return stepping.World(
        reset, step, stepping.discrete(2, (2,)), lambda carry: carry[1], 31, lambda carry: {"lost": 0}
    )


def test_random_play_is_counted():
    figures = stepping.measure(two_rows(4), 2, 40, 2)
    assert figures["scan_length"] == 20 and len(figures["seconds"]) == 2, "40 steps a call, over two rows"
    assert figures["episodes"] == 30 and figures["episode_steps"] == 4.0, "three calls of 20 steps of two rows"
    assert figures["state_bytes"] == 12.0 and figures["lost"] == 0 and figures["compile_seconds"] > 0
    assert 0.2 < figures["reward_per_step"] < 0.8
    assert stepping.measure(two_rows(4), 2, 2, 2)["scan_length"] == 16, "two calls reach the limit of 31 steps"


def test_our_side_of_a_stepping_task_runs():
    asked = tasks.Stepping("pendulum", {"max_steps": 10}, (4,), 40, 10, calls=2)._asdict()
    done = stepping_worker.main(json.loads(json.dumps(asked)))
    assert done["rows"]["4"]["episode_steps"] == pytest.approx(10.0, rel=0.2)
    assert done["rows"]["4"]["reused_starts"] == 0 and set(done["versions"]) == {"jaxrl", "jax", "jaxlib", "gymnax"}
    with pytest.raises(SystemExit, match=r"dealt twice, by number of rows: {'4': \d+}"):
        stepping_worker.main(asked | {"options": {"max_steps": 2}})


def test_the_other_side_of_a_stepping_task_runs():
    asked = tasks.Stepping("CartPole-v1", {}, (2,), 100, suite="gymnax", calls=1)._asdict()
    suites = peer_worker(tasks.SUITES["gymnax"]).SUITES
    assert set(suites) == set(tasks.SUITES)
    figures = stepping.report(lambda n: suites["gymnax"](asked, n), asked, ("gymnax",))["rows"]["2"]
    assert figures["state_bytes"] == 20.0 and figures["reward_per_step"] == 1.0
    assert 8 <= figures["episode_steps"] < 60, "random play loses the pole in about 22 steps"


@pytest.mark.parametrize("task", tasks.REPLAY, ids=lambda task: task.name)
def test_our_side_of_a_replay_task_runs(task, monkeypatch):
    """What is dealt in 3 calls of 5 iterations is what was added; bytes are those that the arrays have."""
    monkeypatch.setattr(replay, "ITERATIONS", 5)
    asked = task.settings._replace(capacities=(256,), add=32, batch=16, calls=2)._asdict()
    asked = json.loads(json.dumps(asked))
    done = replay.report(lambda capacity: replay_worker.side(asked, capacity), asked, ("jaxrl",))
    figures = done["capacities"]["256"]
    assert figures["microseconds"] >= figures["fastest"] > 0 and figures["compile_seconds"] > 0
    tree = 4 * (256 + 16) / 256 if task.settings.kind == "prioritized" else 0
    assert figures["bytes_per_transition"] == 25 + tree
    assert figures["bytes_apart"] == {"ends": ((32 + 256) * 24 + 256 * 4) / 256}
    assert figures["total"] > 25 * 16 * (0.5 + 0.9), "rewards, discounts and actions that are not zero"


def test_blocks_differ_and_end_like_random_play():
    given = replay.blocks(64)
    assert 30 < int(given["ended"].sum()) < 65, "47 of 1024 are expected"
    assert len({float(block.sum()) for block in given["obs"]}) == replay.BLOCKS


def replayed(fast, slow, size):
    each = {"compile_seconds": 1.0, "bytes_per_transition": size}
    return {
        "capacities": {
            str(tasks.worlds.SMALL_RING): each | {"microseconds": fast},
            str(tasks.LARGE_RING): each | {"microseconds": slow},
        },
        "devices": 1, "versions": {"flashbax": "0.1.3"},
    }  # fmt: skip


def test_replay_is_judged_at_the_large_ring_and_by_its_growth(monkeypatch, tmp_path):
    started = []

    def work(python, script, asked, cache="", limit=0.0):
        started.append((script.name, asked["kind"]))
        return replayed(10.0, 14.0, 25.0) if script.name == "replay_worker.py" else replayed(30.0, 35.0, 26.0)

    monkeypatch.setattr(throughput, "work", work)
    monkeypatch.setattr(throughput, "peer_python", lambda peer, folder: "python")
    faster, smaller, grows = throughput.measure(tasks.REPLAY[0], 2, tmp_path)
    assert started == [("replay_worker.py", "uniform"), ("flashbax_worker.py", "uniform")] * 2
    assert faster["ratio"] == pytest.approx(2.5) and faster["passed"] and faster["peer"] == "flashbax"
    assert smaller["ratio"] == pytest.approx(25 / 26) and smaller["passed"]
    assert grows["ratio"] == pytest.approx(1.4) and not grows["passed"] and grows["peer"] == "jaxrl"


def stepped(*speeds, compiled=1.0, rows=tasks.worlds.EVERY):
    figures = {"compile_seconds": compiled, "state_bytes": 8.0, "episode_steps": 9.0, "reward_per_step": 0.5}
    each = {str(n): figures | {"steps_per_second": v, "reused_starts": 0} for n, v in zip(rows, speeds, strict=True)}
    return {"rows": each, "devices": 1, "versions": {"navix": "0.7.4", "gymnax": "1.0.1"}}


def test_a_suite_is_judged_at_its_best_rows():
    task = next(task for task in tasks.WORLDS if task.theirs.suite == "navix")
    mine = [stepped(90.0, 900.0, 500.0, 800.0), stepped(90.0, 920.0, 500.0, 840.0)]
    other = [stepped(10.0, 40.0, 100.0, 60.0, compiled=2.0), stepped(10.0, 40.0, 100.0, 90.0, compiled=4.0)]
    best, scales, compiles = judging.step_lines(task, tasks.SUITES["navix"], mine, other)
    assert (best["rows"], best["ours"], best["theirs"], best["ratio"]) == (4096, 500.0, 100.0, 5.0) and best["passed"]
    assert scales["peer"] == "jaxrl" and scales["ratio"] == pytest.approx(820 / 910) and scales["passed"]
    assert compiles["rows"] == 1024 and compiles["ratio"] == pytest.approx(1 / 3) and compiles["passed"]
    assert best["our_speeds"]["1024"] == 910.0 and best["their_state_bytes"] == 8.0


def test_the_same_dynamics_are_judged_at_equal_rows():
    task = next(task for task in tasks.WORLDS if task.name == "cartpole-gymnax")
    mine, other = ([stepped(*speeds, rows=tasks.PAIR)] for speeds in ((19.0, 16.0), (10.0, 10.0)))
    few, many, scales, compiles = judging.step_lines(task, tasks.SUITES["gymnax"], mine, other)
    assert (few["ratio"], few["passed"], many["ratio"], many["passed"]) == (1.9, False, 1.6, True)
    assert (scales["passed"], compiles["passed"]) == (False, True)


def test_the_sides_step_in_turn(monkeypatch, tmp_path):
    started = []

    def work(python, script, asked, cache="", limit=0.0):
        started.append((script.parent.name, script.name, asked["suite"]))
        return stepped(3.0, 3.0, rows=tasks.PAIR)

    monkeypatch.setattr(throughput, "work", work)
    monkeypatch.setattr(throughput, "peer_python", lambda peer, folder: "python")
    lines = throughput.measure(tasks.WORLDS[0], 2, tmp_path)
    assert started == [("benchmarks", "stepping_worker.py", ""), ("peers", "suites_worker.py", "gymnax")] * 2
    assert [line["metric"] for line in lines] == [bar.metric for bar in tasks.WORLDS[0].bars]


def test_the_sides_run_in_turn(monkeypatch, tmp_path):
    started = []

    def work(python, script, asked, cache="", limit=0.0):
        started.append(script.name)
        return result(300.0 if script.name == "worker.py" else 100.0)

    monkeypatch.setattr(throughput, "work", work)
    monkeypatch.setattr(throughput, "peer_python", lambda peer, folder: "python")
    lines = throughput.compare(tasks.SPEED[0], 2, tmp_path)
    assert started == ["worker.py", "rejax_worker.py"] * 2
    assert [line["metric"] for line in lines] == [bar.metric for bar in tasks.SPEED[0].bars]
    assert lines[0]["passed"] and lines[0]["ratio"] == 3.0 and lines[0]["our_return"] == 495.0
    assert not lines[1]["passed"]


def test_a_run_that_never_ends_is_counted(monkeypatch):
    outcomes = iter([result(1.0), subprocess.TimeoutExpired("worker", 1.0), result(1.0)])

    def ours(asked, cache="", limit=0.0):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(throughput, "ours", ours)
    task = next(task for task in tasks.SPEED if isinstance(task, tasks.RepeatTask))
    (line,) = throughput.run_often(task._replace(runs=3, bar=3))
    assert line["ours"] == 2 and not line["passed"]


def test_a_second_start_uses_the_first_ones_cache(monkeypatch):
    caches, compile_seconds = [], iter([9.0, 0.5, 8.0, 0.7])

    def ours(asked, cache="", limit=0.0):
        caches.append(cache)
        return {"compile_seconds": next(compile_seconds)}

    monkeypatch.setattr(throughput, "ours", ours)
    (line,) = throughput.start_again(tasks.StartTask("s", ("train", "ppo", "cartpole"), 1.0), 2)
    assert line["ours"] == pytest.approx(0.6) and line["first_start"] == 8.5 and line["passed"]
    assert caches[0] == caches[1] != caches[2] == caches[3] != ""


# Studies


@pytest.mark.parametrize("study", studies.STUDIES, ids=lambda study: f"{study.name}-{study.environment}")
def test_a_study_is_complete(study):
    same = [other for other in studies.STUDIES if other.name == study.name]
    assert [other.environment for other in same].count(study.environment) == 1
    assert study.algorithm in agents.names() and study.environment in envs.names()
    assert study.claim[0] in studies_report.COMPARED and study.claim[1] in ("higher", "lower")
    resolved = {}
    for variant in study.variants:
        options = studies.options(study, variant) | {"num_steps": study.num_steps, "seed": 1000, "num_seeds": 10}
        resolved[variant] = experiment.resolve(study.algorithm, study.environment, options)
    assert len({settings.hash() for settings in resolved.values()}) == len(resolved) >= 2
    assert len({settings.num_updates * settings.steps_per_update for settings in resolved.values()}) == 1
    environment = envs.make(study.environment, **study.options.get("environment_options", {}))
    assert environment.model is not None or environment.max_steps is not None


def test_rainbow_has_all_six_parts_and_each_is_left_out_once():
    for study in (study for study in studies.STUDIES if study.name == "rainbow-parts"):
        whole, *others = (studies.options(study, variant)["config"] for variant in study.variants)
        plain = studies.replay()["config"]
        parts = {"double", "dueling", "backup_steps", "prioritized", "head", "noisy"}
        assert all(whole[part] != plain[part] for part in parts)
        left_out = [{part for part in parts if config[part] == plain[part]} for config in others]
        assert sorted(left_out, key=str) == sorted(({part} for part in parts), key=str)
        assert [whole["epsilon_start"] == config["epsilon_start"] for config in others].count(False) == 1


def test_the_height_of_a_learning_curve_skips_what_came_before_the_first_episode():
    reports = {0: [float("nan"), 2.0, float("nan"), 5.0], 1: [4.0, 4.0, 1.0, 3.0], 2: [float("nan")] * 4}
    rows = [{"seed": seed, "episode_return": reports[seed][i]} for i in range(4) for seed in reports]
    assert studies.while_training(rows) == pytest.approx([3.0, 3.0, float("nan")], nan_ok=True)


def ring(**config):
    options = studies.replay({"max_steps": 3}, discount=0.9, learning_starts=64, **config)
    variants = {"plain": {}, "double": {"double": True}}
    return studies.Study("tiny", "dqn", "ring", 160, options, variants, studies.LESS, studies.over_estimation)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The lines that the program leaves of a tiny study, run as from the command line."""
    path = tmp_path_factory.mktemp("studies") / "studies.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "STUDIES", (ring(),))
        patch.setattr(sys, "argv", ["studies.py", "tiny", "--seeds", "2", "--first-seed", "7", "--results", str(path)])
        studies.main()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_study_runs_from_the_command_line(tiny):
    assert [(line["study"], line["environment"], line["variant"]) for line in tiny] == [
        ("tiny", "ring", "plain"), ("tiny", "ring", "double"),
    ]  # fmt: skip
    for line in tiny:
        assert (line["first_seed"], line["num_seeds"], line["num_steps"]) == (7, 2, 160)
        assert all(len(scores) == 2 for scores in line["figures"].values())
        assert line["curve"]["steps"][-1] == 160 and set(records.PACKAGES) == set(line["versions"])
    assert tiny[0]["config_hash"] != tiny[1]["config_hash"]


def test_what_is_obtained_is_the_true_value_whatever_is_estimated(tiny):
    """The ring without its limit goes round and round: the mean of its five true values is 2.0."""
    for line in tiny:
        figures = line["figures"]
        assert figures["obtained"] == pytest.approx([2.0, 2.0], abs=0.01)
        gaps = [a - b for a, b in zip(figures["estimated"], figures["obtained"], strict=True)]
        assert figures["over-estimation"] == pytest.approx(gaps)
        assert all(estimate < 1.5 for estimate in figures["estimated"]), "some gradient steps are far too few"


def test_a_difference_is_shown_where_its_interval_leaves_out_zero():
    assert studies_report.difference([5.0, 6.0, 7.0], [5.0, 6.0, 7.0])[0] == 0
    gap, low, high = studies_report.difference([15.0, 16.0, 17.0], [5.0, 6.0, 7.0])
    assert gap == 10 and 8 <= low < 9.5 and 10.5 < high <= 12
    lines = [
        {"variant": variant, "figures": {"return": scores}}
        for variant, scores in (
            ("all", [5.0, 6.0, 7.0]), ("a", [1.0, 2.0, 3.0]), ("b", [5.0, 6.0, 7.5]), ("c", [8.0, 9.0, 9.5]),
            ("d", [1.0, float("nan"), 3.0]),
        )
    ]  # fmt: skip
    assert studies_report.sentences(lines, ("return", "lower")).splitlines() == [
        "- The claim, a lower return than that of *all*, is shown for 1 of 4, the opposite for 1.",
        "- The return, against *all*: higher: c; lower: a; no difference shown: b, d.",
    ]
    assert "| a       | 2 (1 to 3)" in studies_report.table(lines) and "-4 (" in studies_report.table(lines)


def test_the_page_of_the_studies_is_fresh():
    root = records.ROOT
    page, lines = (root / "docs" / "values.md").read_text(encoding="utf-8"), report.studied(records.RESULTS)
    for name, section in studies_report.sections(lines).items():
        assert f"benchmarks/studies.py {name}`" in page and f"(values_{name.replace('-', '_')}.png)" in page
        assert report.fill(page, name, section) == page, "run python benchmarks/report.py"
    for name, (_, shown) in studies_report.pictures(lines).items():
        assert report.picture_is_fresh(root / "docs" / name, shown), "run python benchmarks/report.py"


# Records and the report


def test_the_newest_line_of_a_task_counts(tmp_path):
    path = tmp_path / "results" / "learning.jsonl"
    for value in (1, 2):
        records.append(path, {"task": "a", "value": value})
    records.append(path, {"task": "b", "value": 3})
    assert [line["value"] for line in records.newest(path, "task").values()] == [2, 3]
    assert records.newest(tmp_path / "none.jsonl", "task") == {}


def test_a_line_says_where_it_comes_from():
    stamp = records.stamp()
    assert set(stamp) == {"commit", "versions", "machine", "date"}
    assert set(records.PACKAGES) == set(stamp["versions"])


def test_an_unknown_task_is_refused():
    with pytest.raises(SystemExit, match="unknown task x"):
        records.choose({"a": 1}, ["x"])
    assert records.choose({"a": 1, "b": 2}, []) == [1, 2]
    assert records.choose({"a": 1, "b": 2}, ["b"]) == [2]


README = (
    "# x\n<!-- results:learning -->\nold\n<!-- /results -->\n<!-- results:throughput -->\n<!-- /results -->\n"
    "<!-- results:envs -->\n<!-- /results -->\n<!-- results:replay -->\n<!-- /results -->\nz\n"
)
VALUES = "".join(f"<!-- results:{name} -->\n<!-- /results -->\n" for name in studies_report.sections({}))


def write_results(folder):
    learnt = learning.judge(TASK, [480.0, 481.0, 482.0]) | {
        "task": "ppo-cartpole-50k", "num_steps": 50_000, "judged": "mean", "better": "higher", "bar": 475.0,
        "published": "500", "source": "somebody", "first_seed": 1000, "num_seeds": 10,
        "curve": {"steps": [1, 2], "iqm": [20.0, 30.0], "low": [10.0, 20.0], "high": [30.0, 40.0]},
    }  # fmt: skip
    records.append(folder / "learning.jsonl", learnt | records.stamp())
    records.append(folder / "learning.jsonl", learnt | records.stamp() | {"first_seed": 0, "mean": 499.0})  # a trial
    fast = throughput.judge([200.0], [100.0], tasks.Bar(tasks.FASTER, 2.0)) | {
        "task": "ppo-64x128", "peer": "Rejax", "peer_versions": {"rejax": "0.1.3"}, "our_return": 499.0,
        "their_return": 498.0,
    }  # fmt: skip
    records.append(folder / "throughput.jsonl", fast | records.stamp())
    task = next(task for task in tasks.SPEED if isinstance(task, tasks.StartTask))
    alone = throughput.alone(task, "compile seconds of a second start", 0.5, True, [0.5])
    records.append(folder / "throughput.jsonl", alone | records.stamp())
    world = next(task for task in tasks.WORLDS if task.theirs.suite == "navix")
    sides = [stepped(*speeds) for speeds in ((1.0, 2.0, 3.0, 4000.0), (1.0, 2.0, 3.0, 2000.0))]
    for line in judging.step_lines(world, tasks.SUITES["navix"], *([side] for side in sides)):
        records.append(folder / "throughput.jsonl", line | records.stamp())
    ring = {"microseconds": 20.0, "bytes_per_transition": 25.0}
    rings = {"versions": {"flashbax": "0.1.3"}, "devices": 1, "capacities": dict.fromkeys(map(str, tasks.RINGS), ring)}
    for line in judging.replay_lines(tasks.REPLAY[0], [rings], [rings]):
        records.append(folder / "throughput.jsonl", line | records.stamp())
    study = next(study for study in studies.STUDIES if study.name == "prioritised")
    for variant, scores in zip(study.variants, ([10.0, 20.0], [50.0, 60.0]), strict=True):
        line = {
            "study": study.name, "environment": study.environment, "variant": variant, "first_seed": 1000,
            "num_seeds": 10, "num_steps": 100, "figures": {"return": scores, "return while training": scores},
            "curve": learnt["curve"],
        }  # fmt: skip
        records.append(folder / "studies.jsonl", line)


def test_the_report_is_idempotent_and_knows_when_it_is_stale(tmp_path, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
        report.main(tmp_path, tmp_path)

    (tmp_path / "README.md").write_text(README)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "values.md").write_text(VALUES)
    write_results(tmp_path)
    pictures = "docs/learning_curves.png, docs/speed.png, docs/values_prioritised.png;"
    with pytest.raises(SystemExit, match=f"stale: README.md, docs/values.md, {pictures}"):
        run("--check")
    assert (tmp_path / "README.md").read_text() == README
    assert (tmp_path / "docs" / "values.md").read_text() == VALUES
    run()
    page = (tmp_path / "docs" / "values.md").read_text()
    assert "55 (50 to 60) | +40 (+30 to +50)" in page and "*uniform*: higher: prioritised." in page
    once = (tmp_path / "README.md").read_text()
    assert "481 (480 to 482)" in once and "Rejax 0.1.3: 100" in once and "old" not in once
    assert "steps per second, 16,384 rows" in once and "Navix 0.7.4: 2,000" in once and "8 / 8 B a row" in once
    assert "flashbax 0.1.3: 50,000" in once
    assert once.startswith("# x\n") and once.endswith("z\n")
    run("--check")
    run()
    assert (tmp_path / "README.md").read_text() == once
    records.append(tmp_path / "throughput.jsonl", {**_last(tmp_path / "throughput.jsonl"), "ours": 0.25})
    with pytest.raises(SystemExit, match="stale"):
        run("--check")


def _last(path):
    return json.loads(path.read_text().splitlines()[-1])


def test_the_report_needs_its_markers():
    with pytest.raises(SystemExit, match="once, not 0"):
        report.fill("nothing", "learning", "table")
    with pytest.raises(SystemExit, match="once, not 2"):
        report.fill(README.replace("throughput", "learning"), "learning", "table")
    assert report.fill(README, "learning", r"\1 \n").count(r"\1 \n") == 1
