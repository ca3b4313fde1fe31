"""How figures of two sides become lines: medians, ratios, and whether a bar is met."""

import statistics
from typing import Any

import tasks
from tasks import Bar, Peer, ReplayTask, SteppingTask

LOWER_IS_BETTER = {
    tasks.COMPILES.metric, tasks.COMPILES_SOONER.metric, tasks.SOONER.metric, tasks.COMPACT.metric, tasks.GROWS.metric,
}  # fmt: skip


def judge(mine: list[float], theirs: list[float], bar: Bar) -> dict[str, Any]:
    """Medians of both sides, their ratio with the spread of its pairs, and whether it meets the bar."""
    ratio = statistics.median(mine) / statistics.median(theirs)
    pairs = sorted(a / b for a, b in zip(mine, theirs, strict=True))
    passed = ratio <= bar.ratio if bar.metric in LOWER_IS_BETTER else ratio >= bar.ratio
    return {
        "metric": bar.metric, "ours": statistics.median(mine), "theirs": statistics.median(theirs), "ratio": ratio,
        "ratio_low": pairs[0], "ratio_high": pairs[-1], "bar": bar.ratio, "passed": passed,
        "our_runs": mine, "their_runs": theirs,
    }  # fmt: skip


def at(runs: list[dict[str, Any]], rows: int, key: str) -> list[Any]:
    """A figure of every process, at one number of rows."""
    return [run["rows"][str(rows)][key] for run in runs]


def best_rows(runs: list[dict[str, Any]]) -> int:
    """The number of rows whose median speed is the highest."""
    return max(
        (int(rows) for rows in runs[0]["rows"]), key=lambda rows: statistics.median(at(runs, rows, "steps_per_second"))
    )


def step_lines(
    task: SteppingTask, peer: Peer, mine: list[dict[str, Any]], other: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """One line for each bar, from what the workers of both sides printed."""
    few, many = tasks.PAIR
    places = dict(zip(tasks.AT_PAIR, tasks.PAIR, strict=True)) | {tasks.AT_BEST: best_rows(other)}
    lines = []
    for bar in task.bars:
        rows, name = places.get(bar.metric, few), peer.name
        if bar.metric == tasks.SCALES.metric:
            name, sides = "jaxrl", [at(mine, count, "steps_per_second") for count in (many, few)]
        else:
            key = "compile_seconds" if bar.metric in LOWER_IS_BETTER else "steps_per_second"
            sides = [at(runs, rows, key) for runs in (mine, other)]
        lines.append(_about(task, peer, mine, other, rows) | {"peer": name} | judge(*sides, bar))
    return lines


def _about(
    task: SteppingTask, peer: Peer, mine: list[dict[str, Any]], other: list[dict[str, Any]], rows: int
) -> dict[str, Any]:
    """What a line says beside its figures; speeds are medians for each number of rows."""
    about: dict[str, Any] = {
        "task": task.name, "settings": task.ours._asdict(), "peer_settings": task.theirs._asdict(),
        "peer_versions": other[0]["versions"], "peer_note": peer.note, "our_devices": mine[0]["devices"],
        "their_devices": other[0]["devices"], "our_return": None, "their_return": None, "rows": rows,
        "reused_starts": max(figures["reused_starts"] for run in mine for figures in run["rows"].values()),
    }  # fmt: skip
    for side, runs in (("our", mine), ("their", other)):
        about[f"{side}_speeds"] = {
            n: statistics.median(at(runs, int(n), "steps_per_second")) for n in runs[0]["rows"]
        }  # fmt: skip
        for key in ("state_bytes", "episode_steps", "reward_per_step"):
            about[f"{side}_{key}"] = at(runs, rows, key)[0]
    return about


def replay_lines(task: ReplayTask, mine: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each bar, from what the workers of both sides printed."""
    peer = tasks.FLASHBAX

    def figures(runs: list[dict[str, Any]], capacity: int, name: str) -> list[float]:
        return [run["capacities"][str(capacity)][name] for run in runs]

    lines = []
    for bar in task.bars:
        name = peer.name
        if bar.metric == tasks.GROWS.metric:
            name, sides = "jaxrl", [figures(mine, capacity, "microseconds") for capacity in reversed(tasks.RINGS)]
        elif bar.metric == tasks.COMPACT.metric:
            sides = [figures(runs, tasks.LARGE_RING, "bytes_per_transition") for runs in (mine, other)]
        else:
            sides = [[1e6 / x for x in figures(runs, tasks.LARGE_RING, "microseconds")] for runs in (mine, other)]
        about = {
            "task": task.name, "settings": task.settings._asdict(), "peer": name, "peer_note": peer.note,
            "peer_versions": other[0]["versions"], "our_devices": mine[0]["devices"],
            "their_devices": other[0]["devices"], "our_return": None, "their_return": None,
            "our_figures": mine[0]["capacities"], "their_figures": other[0]["capacities"],
        }  # fmt: skip
        lines.append(about | judge(*sides, bar))
    return lines
