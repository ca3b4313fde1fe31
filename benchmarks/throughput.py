"""Speed, side by side with peers: `python benchmarks/throughput.py [TASK or GROUP ...] [--repeats R]`.

Both sides run in turn, each in a process of its own, and a peer in a virtual environment of its own that is made on
first use. A process compiles ahead, calls once, then times several calls and takes the median. The figures are medians
over the processes; the spread of a ratio is that of its pairs. The groups:

training    whole trainings with the same settings; evaluation is off there, and the trained policies are evaluated
            afterwards, greedily
envs        random play in many rows that reset themselves, with the same kind of observation
replay      adding to a full buffer and dealing from it, at two capacities
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import records
import tasks
from judging import judge, replay_lines, step_lines
from tasks import Peer, RepeatTask, ReplayTask, SpeedTask, StartTask, SteppingTask

HERE = Path(__file__).parent
LIMIT = 1800.0  # seconds for a worker
FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {  # of what a worker prints
    tasks.FASTER: lambda run: run["steps_per_second"],
    tasks.COMPILES.metric: lambda run: run["compile_seconds"],
    tasks.SOONER.metric: lambda run: run["compile_seconds"] + run["steps"] / run["steps_per_second"],
}


def peer_python(peer: Peer, folder: Path) -> Path:
    """The interpreter of the peer's own environment, made and filled on first use."""
    pins = HERE / peer.requirements
    home = folder / f"{peer.name.lower()}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (home / "complete").exists():
        print(f"installing {peer.name} into {home}", file=sys.stderr)
        venv.create(home, clear=True, with_pip=True)
        install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--requirement", pins]
        subprocess.run(install, check=True, stdout=sys.stderr)
        (home / "complete").touch()
    return python


def work(python: Path | str, script: Path, asked: Any, cache: str = "", limit: float = LIMIT) -> dict[str, Any]:
    """Run a worker and read its line. Compiled programs are kept in the folder `cache`; without one nothing is."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    if script.parent != HERE:
        inherited.pop("PYTHONPATH", None)
    variables = {"JAX_ENABLE_COMPILATION_CACHE": "true" if cache else "false", "JAX_PLATFORMS": "cpu"}
    if cache:
        variables["XDG_CACHE_HOME"] = cache
    command = [str(python), str(script), json.dumps(asked)]
    done = subprocess.run(command, env=inherited | variables, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise SystemExit(f"{script.name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(asked: Any, cache: str = "", limit: float = LIMIT) -> dict[str, Any]:
    return work(sys.executable, HERE / "worker.py", asked, cache, limit)


def compare(task: SpeedTask, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """One line for each bar of the task."""
    peer = tasks.PEERS.get(task.peer)
    python, script = (peer_python(peer, folder), HERE / peer.worker) if peer else (sys.executable, HERE / "worker.py")
    mine, other = [], []
    for _ in range(repeats):
        mine.append(ours(task.ours._asdict()))
        other.append(work(python, script, task.theirs._asdict()))
    both = {
        "task": task.name, "settings": task.ours._asdict(), "peer": peer.name if peer else "jaxrl",
        "peer_versions": other[0]["versions"], "peer_settings": task.theirs._asdict(),
        "peer_note": peer.note if peer else "ourselves", "our_devices": mine[0]["devices"],
        "their_devices": other[0]["devices"], "our_return": statistics.mean(mine[0]["returns"]),
        "their_return": statistics.mean(other[0]["returns"]), "our_returns": mine[0]["returns"],
        "their_returns": other[0]["returns"],
    }  # fmt: skip
    lines = []
    for bar in task.bars:
        my_runs, their_runs = ([FIGURES[bar.metric](run) for run in side] for side in (mine, other))
        lines.append(both | judge(my_runs, their_runs, bar))
    return lines


def step_in_turn(task: SteppingTask, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """One line for each bar of the task: both sides step at all of their numbers of rows in every process."""
    peer = tasks.SUITES[task.theirs.suite]
    python, mine, other = peer_python(peer, folder), [], []
    for _ in range(repeats):
        mine.append(work(sys.executable, HERE / "stepping_worker.py", task.ours._asdict()))
        other.append(work(python, HERE / peer.worker, task.theirs._asdict()))
    return step_lines(task, peer, mine, other)


def replay_in_turn(task: ReplayTask, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """One line for each bar of the task: both sides use both capacities in every process."""
    peer, asked = tasks.FLASHBAX, task.settings._asdict()
    python, mine, other = peer_python(peer, folder), [], []
    for _ in range(repeats):
        mine.append(work(sys.executable, HERE / "replay_worker.py", asked))
        other.append(work(python, HERE / peer.worker, asked))
    return replay_lines(task, mine, other)


def alone(task: StartTask | RepeatTask, metric: str, figure: float, passed: bool, runs: list[Any]) -> dict[str, Any]:
    """A line of a task without a peer."""
    settings = task.command if isinstance(task, StartTask) else task.settings._asdict()
    return {
        "task": task.name, "metric": metric, "settings": settings, "peer": None, "ours": figure, "theirs": None,
        "ratio": None, "bar": task.bar, "passed": passed, "our_return": None, "our_runs": runs,
    }  # fmt: skip


def start_again(task: StartTask, repeats: int) -> list[dict[str, Any]]:
    """Seconds of compilation in a second start of the same command, beside those of the first."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            runs.append([ours([*task.command, "--folder", f"{cache}/{i}"], cache)["compile_seconds"] for i in range(2)])
    first, second = (statistics.median(each) for each in zip(*runs, strict=True))
    return [alone(task, "compile seconds of a second start", second, second < task.bar, runs) | {"first_start": first}]


def run_often(task: RepeatTask) -> list[dict[str, Any]]:
    """How many of the runs ended in time."""
    seconds: list[float | None] = []
    for _ in range(task.runs):
        try:
            seconds.append(ours(task.settings._asdict(), limit=task.seconds)["seconds"][0])
        except subprocess.TimeoutExpired:
            seconds.append(None)
    ended = sum(second is not None for second in seconds)
    return [alone(task, f"of {task.runs} runs ended", ended, ended >= task.bar, seconds)]


def measure(
    task: SpeedTask | StartTask | RepeatTask | SteppingTask | ReplayTask, repeats: int, folder: Path
) -> list[dict[str, Any]]:
    match task:
        case SteppingTask():
            return step_in_turn(task, repeats, folder)
        case ReplayTask():
            return replay_in_turn(task, repeats, folder)
        case SpeedTask():
            return compare(task, repeats, folder)
        case StartTask():
            return start_again(task, repeats)
    return run_often(task)


def row(line: dict[str, Any]) -> list[str]:
    """A line of the printed table."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

    spread = f"{line['ratio']:.2f} ({line['ratio_low']:.2f} to {line['ratio_high']:.2f})" if line["ratio"] else ""
    returns = f"{line['our_return']:.0f} / {line['their_return']:.0f}" if line["our_return"] is not None else ""
    names = [line["task"], line["metric"], number(line["ours"]), line["peer"] or "", number(line["theirs"])]
    return [*names, spread, f"{line['bar']:.3g}", "yes" if line["passed"] else "NO", returns]


HEADS = ("task", "metric", "jaxrl", "peer", "peer's", "ratio (spread)", "bar", "met", "return, ours / peer's")


def main() -> None:
    named: dict[str, Any] = {task.name: task for task in (*tasks.SPEED, *tasks.WORLDS, *tasks.REPLAY)}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxrl" / "peers"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join((*tasks.GROUPS, *named)))
    parser.add_argument("--repeats", type=int, default=3, help="processes on each side")
    parser.add_argument("--peers-dir", type=Path, default=cache, help="where the peers' environments are kept")
    parser.add_argument("--results", type=Path, default=records.RESULTS / "throughput.jsonl")
    arguments = parser.parse_args()
    rows = []
    wanted = [name for each in arguments.tasks for name in tasks.GROUPS.get(each, (each,))]
    for task in records.choose(named, wanted):
        for line in measure(task, arguments.repeats, arguments.peers_dir):
            records.append(arguments.results, line | records.stamp())
            rows.append(row(line))
            print(" | ".join(rows[-1]), file=sys.stderr)
    print(records.table(HEADS, rows))


if __name__ == "__main__":
    main()
