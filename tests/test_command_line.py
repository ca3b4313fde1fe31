"""The command `jaxrl`: help at once, mistakes in one line, runs that are recorded, resumed and evaluated."""

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pandas
import pytest
import yaml

from jaxrl import experiment, run_folder, settings
from jaxrl.command_line import main

SMALL = ["--num-steps", "256", "--num-envs", "4", "--rollout-length", "8"]  # 8 updates
TRAIN = ["train", "q_learning", "cliff_walking", "--no-progress", *SMALL]


@pytest.fixture(scope="module", autouse=True)
def backend() -> None:
    """Start JAX before a run of several seeds asks for several devices: the other tests want theirs as they are."""
    jax.devices()


def contents(folder: Path) -> dict[str, str]:
    """Every file below folder, by its hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds that has ended."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert main([*TRAIN, "--num-seeds", "2", "--seed", "7", "--folder", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    "command",
    [[], ["train"], ["eval"], ["record"], ["analyse"], ["list"]],
    ids=lambda words: " ".join(words) or "jaxrl",
)
def test_help_answers_within_a_second_and_without_jax(command: list[str]) -> None:
    """In processor seconds, which are what a person waits for on an idle machine; a busy one proves nothing."""
    script = (
        "import sys\nfrom jaxrl.command_line import main\n"
        "try: main([*sys.argv[1:], '--help'])\n"
        "finally: assert not {'jax', 'numpy', 'pandas', 'matplotlib', 'pydantic'} & set(sys.modules)"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert run.returncode == 0 and run.stdout.startswith("usage: jaxrl"), run.stderr
    assert min(seconds) < 0.7


def test_the_ways_to_start_are_one_command(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    launcher = [sys.executable, str(root / "scripts" / "train.py"), "--help"]
    module = [sys.executable, "-m", "jaxrl", "train", "--help"]
    texts = [subprocess.run(way, capture_output=True, text=True, check=True).stdout for way in (launcher, module)]
    assert texts[0] == texts[1] and "--num-seeds" in texts[0]


MISTAKES = {
    "expected a command: train, eval, record, analyse, list": "",
    "unknown command 'tarin': did you mean train": "tarin",
    "Missing from jaxrl train: ENVIRONMENT": "train ppo",
    "unknown algorithm 'ppp': did you mean ppo": "train ppp cartpole",
    "unknown environment 'cartpol': did you mean cartpole": "train ppo cartpol",
    "--num-steps: expected a whole number, not 'many'": "train ppo cartpole --num-steps many",
    "num_steps: input should be greater than 0, not -5": "train ppo cartpole --num-steps -5",
    "num_steps is 255, but one update takes 256 steps": "train ppo cartpole --num-steps 255",
    "num_envs: input should be greater than 0, not 0": "train ppo cartpole --num-envs 0",
    "num_seeds: input should be greater than 0, not 0": "train ppo cartpole --num-seeds 0",
    "seed: input should be greater than or equal to 0": "train ppo cartpole --seed -1",
    "unknown option of ppo '--learning-rat': did you mean --learning-rate": "train ppo cartpole --learning-rat 1e-3",
    "unknown option of ppo '--num-step': did you mean --num-steps": "train ppo cartpole --num-step 1",
    "learning_rate: input should be a valid number, not 'fast'": "train ppo cartpole --learning-rate fast",
    "learning_rate: input should be a valid number, not True": "train ppo cartpole --learning-rate",
    "num_epochs: input should be a valid integer, not 1.5": "train ppo cartpole --num-epochs 1.5",
    "discount is 1.5, expected a number from 0 to 1": "train ppo cartpole --discount 1.5",
    "learning_rate is nan": "train ppo cartpole --learning-rate .nan",
    "normalise_rewards: input should be a valid boolean, not 3": "train ppo cartpole --normalise-rewards 3",
    "--no-normalise-rewards takes no value": "train ppo cartpole --no-normalise-rewards 3",
    "hidden: input should be a valid integer": "train ppo cartpole --hidden 64 wide",
    "unknown activation 'tanhh': did you mean tanh": "train ppo cartpole --activation tanhh",
    "unexpected argument 'now'": "train ppo cartpole now",
    "unknown option of gridworld 'siz'": "train ppo gridworld --environment.siz 4",
    "option max_steps of gridworld is 'many'": "train ppo gridworld --environment.max-steps many",
    "dqn needs a Discrete action space": "train dqn pendulum",
    "q_learning needs discrete spaces": "train q_learning cartpole",
    "num_minibatches": "train ppo ring --num-envs 3 --rollout-length 5 --num-steps 60 --num-minibatches 4",
    "nowhere.yaml: cannot be read": "train ppo cartpole --config nowhere.yaml",
    "--resume needs the --folder": "train ppo cartpole --resume",
    "nowhere: no such folder, expected the folder of a run": "train ppo cartpole --resume --folder nowhere",
    "nowhere: no such folder": "eval nowhere",
    "episodes is 0: expected at least 1": "eval nowhere --episodes 0",
    "unknown argument '--episode': did you mean --episodes": "eval nowhere --episode 5",
    "unknown algorithm or environment 'cartpool': did you mean cartpole": "list cartpool",
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(MISTAKES[message].split()) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("jaxrl: error: ") and message in err
    assert contents(tmp_path) == {}


FILES = {
    "not YAML at line 1, column 14": "num_steps: [1",
    "expected a mapping of names to values": "- 3",
    "unknown setting in settings.yaml 'num_stps': did you mean num_steps": "num_stps: 3",
    "is the settings of another algorithm, expected ppo": "algorithm: dqn",
    "unknown option of ppo 'learning_rat': did you mean learning_rate": "config: {learning_rat: 1e-3}",
    "config should be a mapping": "config: 3",
    "learning_rate: input should be a valid number, not '1e-3'": "config: {learning_rate: '1e-3'}",
    "num_envs: input should be a valid integer, not '8'": "num_envs: '8'",
}


@pytest.mark.parametrize("message", FILES)
def test_a_wrong_file_of_settings_is_one_line(
    message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("settings.yaml").write_text(FILES[message])
    assert main(["train", "ppo", "cartpole", "--config", "settings.yaml"]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and message in err
    assert list(contents(tmp_path)) == ["settings.yaml"]


def test_a_run_folder_holds_what_decided_and_what_came_out(finished: Path) -> None:
    assert set(contents(finished)) == {"config.yaml", "manifest.json", "metrics.csv", "curve.png", "state"}
    resolved = settings.check(yaml.safe_load((finished / "config.yaml").read_text()))
    assert (resolved.num_steps, resolved.num_seeds, resolved.seed, resolved.config.learning_rate) == (256, 2, 7, 0.5)
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["config_hash"] == resolved.hash() and manifest["seeds"] == [7, 8]
    assert manifest["versions"]["jax"] == jax.__version__ and manifest["env_steps"] == 256
    assert manifest["started"] <= manifest["finished"] and manifest["compile_seconds"] > 0
    metrics = pandas.read_csv(finished / "metrics.csv")
    assert list(metrics.columns[:3]) == ["seed", "updates", "env_steps"]
    assert metrics.seed.tolist() == [7, 8] * 8 and metrics.env_steps.max() == 256
    assert (finished / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_realised_number_of_steps_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--num-steps", "100", "--num-envs", "4", "--rollout-length", "8", "--folder", str(tmp_path / "run")]
    assert main(["train", "random", "cliff_walking", *options]) == 0
    out, err = capfd.readouterr()
    assert "100 steps are not a whole number of updates: training for 96 (3 updates of 32 steps)" in err
    assert "100 %  update 3/3  step 96 " in err and "\x1b" not in err
    assert "for 96 steps (3 updates)" in out


def test_options_go_before_the_file_and_the_file_before_the_preset(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("seed: 3\nconfig: {discount: 9e-1, epsilon: 0.2}\n")
    options = ["--config", str(tmp_path / "settings.yaml"), "--epsilon=0.3", "--environment.max-steps", "50"]
    assert main([*TRAIN, *options, "--folder", str(tmp_path / "run")]) == 0
    resolved = run_folder.read_settings(tmp_path / "run")
    assert (resolved.seed, resolved.config.discount, resolved.config.epsilon) == (3, 0.9, 0.3)
    assert resolved.environment_options == {"max_steps": 50}


def test_the_file_of_a_run_starts_the_same_run(finished: Path, tmp_path: Path) -> None:
    assert main(["train", "q_learning", "cliff_walking", "--config", str(finished / "config.yaml"), "--no-progress",
                 "--folder", str(tmp_path / "again")]) == 0  # fmt: skip
    for name in ("config.yaml", "metrics.csv", "state"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "already holds a run"),
        (["--resume", "--num-seeds", "3"], "holds another run: its num_seeds is 2, not 3"),
        (["--resume", "--epsilon", "0.3"], "holds another run: its epsilon is 0.1, not 0.3"),
    ],
    ids=["new", "other seeds", "other config"],
)
def test_a_folder_that_holds_another_run_is_refused_untouched(
    finished: Path, options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert main([*TRAIN, "--folder", str(finished), *options]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and message in err
    assert contents(finished) == before


def test_a_foreign_folder_is_refused_untouched(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose this")
    for command in (TRAIN, [*TRAIN, "--resume"]):
        assert main([*command, "--folder", str(tmp_path)]) == 2
    assert main(["eval", str(tmp_path)]) == 2
    assert main([*TRAIN, "--folder", str(tmp_path / "thesis.txt")]) == 2
    assert main([*TRAIN, "--folder", str(tmp_path / "thesis.txt" / "run")]) == 2
    lines = capfd.readouterr().err.splitlines()
    for line, message in zip(
        lines,
        ["is not empty", "has no config.yaml", "has no config.yaml", "is a file", "cannot be made"],
        strict=True,
    ):
        assert message in line
    assert list(contents(tmp_path)) == ["thesis.txt"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.yaml", b"\xff\xfe\x00", "cannot be read, expected a YAML file"),
        ("config.yaml", b"algorithm: q_learning\n", "unknown environment None"),
        ("config.yaml", b"", "expected a mapping"),
        ("state", b"", "not a readable saved state"),
        ("state", None, "no such file, expected a saved state"),
        ("metrics.csv", b"\x00\xff", "is damaged"),
    ],
)
def test_a_damaged_run_folder_is_refused_untouched(
    finished: Path, tmp_path: Path, file: str, content: bytes | None, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in finished.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    before = contents(tmp_path)
    assert main(["eval", str(tmp_path)]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and message in err
    assert contents(tmp_path) == before


def test_eval_reports_every_seed_and_all_of_them(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished)
    assert main(["eval", str(finished), "--episodes", "5", "--max-steps", "20"]) == 0
    out = capsys.readouterr().out
    assert "q_learning on cliff_walking after 256 steps" in out and "over 5 episodes a seed" in out
    number = r"-?\d+\.\d{3}"
    for seed in ("7", "8"):
        assert re.search(rf"^{seed} +{number} +{number} +\[{number}, {number}\]$", out, re.MULTILINE)
    assert re.search(rf"over 2 seeds: mean {number}, standard deviation {number}, 95 % interval \[", out)
    assert contents(finished) == before


def test_list_shows_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    from jaxrl import agents, envs

    assert main(["list"]) == 0
    listed = re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.MULTILINE)
    assert listed == [*agents.names(), *envs.names()]
    for name in agents.names():
        assert main(["list", name]) == 0
        options = re.findall(r"^  --([\w-]+)", capsys.readouterr().out, re.MULTILINE)
        assert set(agents.algorithm(name).config._fields) <= {option.replace("-", "_") for option in options}
    assert main(["list", "cartpole"]) == 0
    assert "500" in capsys.readouterr().out


KILLED_IN_ITS_THIRD_SAVE = """if True:
    import os, signal, sys
    from jaxrl import command_line
    saves, replace = [], os.replace
    def counted(source, target):
        saves.append(os.path.basename(target) == "state")
        if sum(saves) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
    os.replace = counted
    command_line.main(sys.argv[1:])
"""


KILLED = {
    "dqn": ["--buffer-size", "320", "--learning-starts", "64"],
    "ppo": ["--normalise-observations", "--normalise-rewards", "--num-epochs", "2"],
}


@pytest.mark.parametrize("algorithm", ["dqn", pytest.param("ppo", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_same_bits_in_a_new_process(algorithm: str, tmp_path: Path) -> None:
    """Training N, a kill while the state is written, and training on in a new process equals training through."""
    options = ["--num-steps", "640", "--num-envs", "4", "--rollout-length", "8", "--num-seeds", "2", "--hidden", "8"]
    options += ["--save-seconds", "0", "--no-progress", *KILLED[algorithm]]
    environment = os.environ | {
        "XLA_FLAGS": "",
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = ["train", algorithm, "ring", *options, "--folder"]
    through = subprocess.Popen([sys.executable, "-m", "jaxrl", *command, str(whole)], env=environment)
    first = subprocess.run([sys.executable, "-c", KILLED_IN_ITS_THIRD_SAVE, *command, str(killed)], env=environment)
    assert first.returncode == -signal.SIGKILL and not (killed / "curve.png").exists()
    with (killed / "metrics.csv").open("a") as file:
        file.write("0,4,128,0.1")  # a line that the kill cut
    assert len(pandas.read_csv(killed / "metrics.csv")) > 2 * 2
    subprocess.run([sys.executable, "-m", "jaxrl", *command, str(killed), "--resume"], env=environment, check=True)
    assert through.wait() == 0
    for name in ("config.yaml", "metrics.csv", "state"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    sessions = json.loads((killed / "manifest.json").read_text())
    assert sessions["started_at_env_steps"] == 64 and len(sessions["earlier_sessions"]) == 1


def test_a_finished_run_resumes_to_itself(finished: Path) -> None:
    before = contents(finished)
    assert main([*TRAIN, "--num-seeds", "2", "--seed", "7", "--folder", str(finished), "--resume"]) == 0
    assert contents(finished) == before


def test_a_run_that_never_saved_resumes_from_its_start(finished: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "manifest.json", "metrics.csv"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    result = experiment.train("q_learning", "cliff_walking", folder=tmp_path, resume=True, progress=False)
    assert (tmp_path / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()
    assert result.metrics.equals(pandas.read_csv(finished / "metrics.csv"))
