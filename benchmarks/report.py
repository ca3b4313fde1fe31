"""Rewrites the tables of README.md and docs/values.md and the pictures in docs/: `python benchmarks/report.py`.

All is made from the result files. With --check nothing is written, and the exit code is 1 where something is stale.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import records
import studies_report
import tabular
import tasks

Lines = dict[tuple[Any, ...], dict[str, Any]]
KEEP = "results"  # the entry of a picture's metadata that names the results it shows


def judged(lines: Lines) -> Lines:
    """The lines of the judging seeds, by what comes before them: what was tried on other seeds is no result."""
    wanted = {task.name: task.num_seeds for task in tasks.LEARNING}
    own = {key: (tasks.FIRST_SEED, wanted.get(key[0], tasks.SEEDS)) for key in lines}
    return {key[:-2]: line for key, line in lines.items() if key[-2:] == own[key]}


def studied(results: Path) -> Lines:
    """The lines of the studies, by study, world and variant, and of the tabular ones."""
    fields = "study", "environment", "variant", "first_seed", "num_seeds"
    found = judged(records.newest(results / "studies.jsonl", *fields))
    runs = {study.name: study.runs for study in tabular.STUDIES}
    for (task, first_seed, number), line in records.newest(
        results / "tabular.jsonl", "task", "first_seed", "runs"
    ).items():
        if (first_seed, number) == (tasks.FIRST_SEED, runs.get(task)):
            found["tabular", task] = line
    return found


def learning_table(lines: Lines) -> str:
    heads = ("task", "steps x seeds", "score (95 % interval)", "interquartile mean", "bar", "met", "published")
    rows = []
    for task in tasks.LEARNING:
        if line := lines.get((task.name,)):
            score = f"{line['mean']:.4g} ({line['low']:.4g} to {line['high']:.4g})"
            bar = {"higher": "at least ", "lower": "at most "}[line["better"]] if line["judged"] == "mean" else "each "
            published = f"{line['published']}, {line['source']}"
            steps = f"{line['num_steps']:,} x {line['num_seeds']}"
            met = "yes" if line["passed"] else "no"
            rows.append((task.name, steps, score, f"{line['iqm']:.4g}", f"{bar}{line['bar']:.4g}", met, published))
    return records.table(heads, rows) + "\n\n" + footer(lines)


def throughput_table(lines: Lines) -> str:
    heads = ("task", "measured", "jaxrl", "peer", "ratio (spread)", "bar", "met", "return, jaxrl / peer")
    rows = []
    for task in tasks.SPEED:
        for line in (line for key, line in lines.items() if key[0] == task.name):
            ratio = f"{line['ratio']:.2f} ({line['ratio_low']:.2f} to {line['ratio_high']:.2f})" if line["peer"] else ""
            peer = f"{line['peer']} {line['peer_versions'].get(line['peer'].lower(), '')}: {figure(line['theirs'])}" \
                if line["peer"] else ""  # fmt: skip
            returns = f"{line['our_return']:.0f} / {line['their_return']:.0f}" if line["peer"] else ""
            met = "yes" if line["passed"] else "no"
            rows.append(
                (task.name, line["metric"], figure(line["ours"]), peer, ratio, f"{line['bar']:.3g}", met, returns)
            )
    return records.table(heads, rows) + "\n\n" + footer(lines)


def envs_table(lines: Lines) -> str:
    """Stepping speed; the rows of a task are followed by what its states weigh."""
    heads = ("task", "measured", "jaxrl", "peer", "ratio (spread)", "bar", "met", "state, jaxrl / peer")
    rows = []
    for line in (line for task in tasks.WORLDS for key, line in lines.items() if key[0] == task.name):
        suite = line["peer_settings"]["suite"]
        version = line["peer_versions"][suite] if line["peer"] == tasks.SUITES[suite].name else ""
        measured = line["metric"].replace("the peer's best rows", f"{line['rows']:,} rows")
        ratio = f"{line['ratio']:.2f} ({line['ratio_low']:.2f} to {line['ratio_high']:.2f})"
        weights = f"{line['our_state_bytes']:,.0f} / {line['their_state_bytes']:,.0f} B a row"
        met = "yes" if line["passed"] else "no"
        peer = f"{line['peer']} {version}".strip() + f": {figure(line['theirs'])}"
        rows.append(
            (line["task"], measured, figure(line["ours"]), peer, ratio, f"{line['bar']:.3g}", met, weights)
        )  # fmt: skip
    return records.table(heads, rows) + "\n\n" + footer(lines)


def replay_table(lines: Lines) -> str:
    heads = ("task", "measured", "jaxrl", "peer", "ratio (spread)", "bar", "met")
    rows = []
    for line in lines.values():
        ratio = f"{line['ratio']:.2f} ({line['ratio_low']:.2f} to {line['ratio_high']:.2f})"
        version = line["peer_versions"]["flashbax"] if line["peer"] == tasks.FLASHBAX.name else ""
        peer = f"{line['peer']} {version}".strip() + f": {figure(line['theirs'])}"
        met = "yes" if line["passed"] else "no"
        rows.append((line["task"], line["metric"], figure(line["ours"]), peer, ratio, f"{line['bar']:.3g}", met))
    return records.table(heads, rows) + "\n\n" + footer(lines)


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def footer(lines: Lines) -> str:
    """Where and when the lines were measured."""
    if not lines:
        return "No results yet."
    last = max(lines.values(), key=lambda line: line["date"])
    return f"On {last['machine']}, jax {last['versions']['jax']}; the newest line is of {last['date'][:10]}."


def fill(text: str, name: str, content: str) -> str:
    """The text with the content between `<!-- results:name -->` and `<!-- /results -->`."""
    begin, end = f"<!-- results:{name} -->", "<!-- /results -->"
    filled, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{content}\n{end}", text, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"the page should hold {begin} ... {end} once, not {count} times")
    return filled


def draw_curve(axes: Any, lines: Lines, task: str, label: str) -> None:
    if line := lines.get((task,)):
        curve = line["curve"]
        axes.plot(curve["steps"], curve["iqm"], label=label.format(**line))
        axes.fill_between(curve["steps"], curve["low"], curve["high"], alpha=0.25)


def draw_curves(picture: Any, lines: Lines) -> None:
    axes = picture.add_subplot()
    for name in ("ppo-cartpole-50k", "ppo-cartpole-100k"):
        draw_curve(axes, lines, name, "{num_steps:,} steps")
    axes.set(xlabel="environment steps", ylabel="return while training", title="PPO on CartPole-v1, 10 seeds")
    axes.legend(title="interquartile mean, 95 % band")


def draw_minatar(picture: Any, lines: Lines) -> None:
    for axes, game in zip(picture.subplots(1, 2), ("breakout", "freeway"), strict=True):
        for algorithm, label in (("dqn", "DQN"), ("rainbow", "Rainbow")):
            draw_curve(axes, lines, f"{algorithm}-{game}-1m", f"{label}, {{num_seeds}} seeds")
        axes.set(xlabel="environment steps", ylabel="return while training", title=f"MinAtar {game}")
        axes.legend()


def draw_speed(picture: Any, lines: Lines) -> None:
    axes = picture.add_subplot()
    peers = {peer.name for peer in tasks.PEERS.values()}
    rows = [line for line in lines.values() if line["metric"] == tasks.FASTER and line["peer"] in peers]
    for place, line in enumerate(reversed(rows)):
        around = [[line["ratio"] - line["ratio_low"]], [line["ratio_high"] - line["ratio"]]]
        axes.barh(place, line["ratio"], xerr=around, color="tab:blue", ecolor="0.6", capsize=3)
        axes.plot([line["bar"]] * 2, [place - 0.4, place + 0.4], color="black")
    axes.set_yticks(range(len(rows)), [f"{line['task']} / {line['peer']}" for line in reversed(rows)])
    axes.set(xlabel="steps per second, jaxrl / peer (black: the bar)", title="Training speed, same settings")


def digest(lines: Lines) -> str:
    return hashlib.sha256(json.dumps(sorted(map(str, lines.items()))).encode()).hexdigest()


def picture_is_fresh(path: Path, lines: Lines) -> bool:
    from PIL import Image

    if not path.exists():
        return False
    with Image.open(path) as image:
        return image.info.get(KEEP) == digest(lines)


def save_picture(path: Path, draw: Any, lines: Lines) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7, 3.6), layout="constrained")
    draw(picture, lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=120, metadata={KEEP: digest(lines)})


def main(root: Path = records.ROOT, results: Path = records.RESULTS) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something is stale")
    check = parser.parse_args().check
    learning = judged(records.newest(results / "learning.jsonl", "task", "first_seed", "num_seeds"))
    measured = records.newest(results / "throughput.jsonl", "task", "metric")
    speed, stepping, replay = (
        {key: line for key, line in measured.items() if key[0] in tasks.GROUPS[group]}
        for group in ("training", "envs", "replay")
    )
    pages = {
        "README.md": {
            "learning": learning_table(learning), "throughput": throughput_table(speed), "envs": envs_table(stepping),
            "replay": replay_table(replay),
        },
        "docs/values.md": studies_report.sections(studied(results)),
    }  # fmt: skip
    minatar = {key: line for key, line in learning.items() if key[0].endswith(("-breakout-1m", "-freeway-1m"))}
    pictures = {"learning_curves.png": (draw_curves, learning), "speed.png": (draw_speed, speed)}
    pictures |= studies_report.pictures(studied(results))
    if minatar:
        pictures["values_minatar.png"] = draw_minatar, minatar
    stale = []
    for page, tables in pages.items():
        text = fresh = (root / page).read_text(encoding="utf-8")
        for name, table in tables.items():
            fresh = fill(fresh, name, table)
        if fresh != text:
            stale.append(page)
            if not check:
                (root / page).write_text(fresh, encoding="utf-8")
    for name, (draw, lines) in pictures.items():
        if not picture_is_fresh(root / "docs" / name, lines):
            stale.append(f"docs/{name}")
            if not check:
                save_picture(root / "docs" / name, draw, lines)
    if check and stale:
        raise SystemExit(f"stale: {', '.join(stale)}; run python benchmarks/report.py")


if __name__ == "__main__":
    main()
