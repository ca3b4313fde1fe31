"""The page of the studies, docs/values.md: its tables, what they say in words, and its pictures."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import records
import studies
from studies import EXCESS, PLAYED, TRAINING, Study

from jaxrl import statistics

Lines = dict[tuple[Any, ...], dict[str, Any]]  # by study, world and variant
TEXTBOOK = {  # study: (the task of tabular.py that belongs to it, its methods, axes of the picture and the top)
    "over-estimation": (
        "maximisation-bias",
        ("q_learning", "double_q_learning"),
        "episode",
        "share that goes left",
        1.0,
    ),
    "n-step": ("random-walk", ("n = ",), "step size", "error over 10 episodes", 0.6),
    "lambda": ("random-walk", ("n = 1,", "lambda = "), "step size", "error over 10 episodes", 0.6),
}
COMPARED = (PLAYED, TRAINING, EXCESS)  # the figures whose difference to the first variant is shown


def measured(study: Study, lines: Lines) -> list[dict[str, Any]]:
    """The lines of a study's variants, once all of them were measured."""
    keys = [(study.name, study.environment, variant) for variant in study.variants]
    return [lines[key] for key in keys] if all(key in lines for key in keys) else []


def difference(scores: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """(difference of the means, low, high): a 95 % percentile bootstrap over the seeds of both sides."""
    from scipy.stats import bootstrap

    both = np.asarray(scores, float), np.asarray(others, float)
    if not all(np.isfinite(each).all() and len(each) > 1 for each in both):
        return float(both[0].mean() - both[1].mean()), np.nan, np.nan
    interval = bootstrap(
        both, lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=10_000, vectorized=True,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(both[0].mean() - both[1].mean()), float(interval.low), float(interval.high)


def mean(scores: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high); there is no interval where a seed diverged."""
    values = np.asarray(scores, float)
    low, high = statistics.bootstrap_interval(values) if np.isfinite(values).all() else (np.nan, np.nan)
    return float(values.mean()), float(low), float(high)


def table(lines: list[dict[str, Any]]) -> str:
    """A row for each variant: means with intervals, and differences to the first variant."""
    names = list(lines[0]["figures"])
    heads = ["variant", *(head for name in names for head in (name, "difference")[: 1 + (name in COMPARED)])]
    rows = []
    for line in lines:
        row = [line["variant"]]
        for name in names:
            scores = line["figures"][name]
            row.append("{:.4g} ({:.4g} to {:.4g})".format(*mean(scores)))
            if name in COMPARED:
                gap = difference(scores, lines[0]["figures"][name])
                row.append("" if line is lines[0] else "{:+.3g} ({:+.3g} to {:+.3g})".format(*gap))
        rows.append(row)
    return records.table(heads, rows)


def against_first(lines: list[dict[str, Any]], name: str) -> dict[str, list[str]]:
    """The other variants by what their figure shows: only an interval of the difference that leaves out 0 counts."""
    groups: dict[str, list[str]] = {"higher": [], "lower": [], "no difference shown": []}
    for line in lines[1:]:
        _, low, high = difference(line["figures"][name], lines[0]["figures"][name])
        groups["higher" if low > 0 else "lower" if high < 0 else "no difference shown"].append(line["variant"])
    return groups


def sentences(lines: list[dict[str, Any]], claim: tuple[str, str]) -> str:
    """What became of the claim, and what each figure says against the first variant."""
    name, wanted = claim
    groups, opposite = against_first(lines, name), {"higher": "lower", "lower": "higher"}[wanted]
    said = [
        f"- The claim, a {wanted} {name} than that of *{lines[0]['variant']}*, is shown for {len(groups[wanted])} of "
        f"{len(lines) - 1}, the opposite for {len(groups[opposite])}."
    ]
    for name in COMPARED:
        if name in lines[0]["figures"]:
            found = [f"{group}: {', '.join(each)}" for group, each in against_first(lines, name).items() if each]
            said.append(f"- The {name}, against *{lines[0]['variant']}*: {'; '.join(found)}.")
    return "\n".join(said)


def textbook(name: str, lines: Lines) -> dict[str, Any] | None:
    """The line of the tabular task that belongs to a study."""
    return lines.get(("tabular", TEXTBOOK[name][0])) if name in TEXTBOOK else None


def textbook_section(name: str, line: dict[str, Any]) -> str:
    """A row for each method, and which of them is the lowest in the first figure."""
    task, methods, *_ = TEXTBOOK[name]
    found: dict[str, dict[str, float]] = {}
    for figure, value in line["figures"].items():
        if figure.startswith(methods):
            method, what = figure.split(", ")
            found.setdefault(method, {})[what] = value
    heads = list(next(iter(found.values())))
    rows = [[method, *(f"{figures[head]:.4g}" for head in heads)] for method, figures in found.items()]
    ranked = sorted(found, key=lambda method: np.nan_to_num(found[method][heads[0]], nan=np.inf))
    ends = [f"{method} ({found[method][heads[0]]:.4g})" for method in (ranked[0], ranked[-1])]
    said = f"- The {heads[0]}: the lowest is that of {ends[0]}, the highest that of {ends[1]}."
    return f"**{task}**, tables, {line['runs']:,} runs\n\n{records.table(['method', *heads], rows)}\n\n{said}"


def section(name: str, lines: Lines) -> str:
    """Tables and sentences of a study, world by world."""
    parts, worlds = [], [study for study in studies.STUDIES if study.name == name]
    for study in worlds:
        if mine := measured(study, lines):
            title = f"**{study.environment}**, {mine[0]['num_steps']:,} steps, {mine[0]['num_seeds']} seeds"
            parts.append("\n\n".join([title, table(mine), sentences(mine, study.claim)]))
    if line := textbook(name, lines):
        parts.append(textbook_section(name, line))
    return "\n\n".join(parts) or "No results yet."


def sections(lines: Lines) -> dict[str, str]:
    """What stands on the page, by study."""
    return {name: section(name, lines) for name in dict.fromkeys(study.name for study in studies.STUDIES)}


def pictures(lines: Lines) -> dict[str, tuple[Any, Lines]]:
    """File -> (function that draws, what it shows), for each study that was measured."""
    found: dict[str, tuple[Any, Lines]] = {}
    for name in sections({}):
        task = ("tabular", TEXTBOOK[name][0]) if name in TEXTBOOK else None
        if mine := {key: line for key, line in lines.items() if key[0] == name or key == task}:
            found[f"values_{name.replace('-', '_')}.png"] = (functools.partial(draw, name), mine)
    return found


def draw(name: str, figure: Any, lines: Lines) -> None:
    """For each world of a study: the seeds' figures on the left, the learning curves on the right."""
    found = [mine for study in studies.STUDIES if study.name == name and (mine := measured(study, lines))]
    line = textbook(name, lines)
    num_rows = max(len(found) + bool(line), 1)
    figure.set_size_inches(9, 3.4 * num_rows)
    grid = figure.subplots(num_rows, 2, squeeze=False)
    for axes, mine in zip(grid, found, strict=False):
        values = studies.ESTIMATE, studies.OBTAINED
        _draw_figures(axes[0], mine, values if EXCESS in mine[0]["figures"] else (PLAYED, TRAINING))
        _draw_curves(axes[1], mine)
    if line:
        wide = grid[-1, 0].get_gridspec()[-1, :]
        for axes in grid[-1]:
            axes.remove()
        _draw_textbook(figure.add_subplot(wide), name, line)


def _draw_curves(axes: Any, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        curve = line["curve"]
        axes.plot(curve["steps"], curve["iqm"], label=line["variant"])
        axes.fill_between(curve["steps"], curve["low"], curve["high"], alpha=0.12)
    axes.set(xlabel="environment steps", ylabel="return while training", title=lines[0]["environment"])
    axes.locator_params(axis="x", nbins=5)
    axes.legend(fontsize="x-small")


def _draw_textbook(axes: Any, name: str, line: dict[str, Any]) -> None:
    task, methods, x, y, top = TEXTBOOK[name]
    for method, curve in line["curve"].items():
        if f"{method}, ".startswith(methods):
            axes.plot(line["curve"].get("step sizes", range(1, len(curve) + 1)), curve, label=method)
    axes.set(xlabel=x, ylabel=y, title=task, ylim=(0, top))
    axes.legend(fontsize="x-small")


def _draw_figures(axes: Any, lines: list[dict[str, Any]], names: Sequence[str]) -> None:
    """Each seed as a dot, their mean with its interval as a line; several figures in one row of a variant."""
    for place, line in enumerate(reversed(lines)):
        for i, (name, colour) in enumerate(zip(names, ("tab:blue", "tab:orange"), strict=False)):
            scores, height = line["figures"][name], place + 0.15 - 0.3 * i
            middle, low, high = mean(scores)
            axes.scatter(scores, [height] * len(scores), s=9, alpha=0.4, color=colour)
            axes.plot([low, high], [height, height], color=colour, linewidth=2)
            axes.plot(middle, height, "o", color=colour, label=name if place == 0 else None)
    axes.set_yticks(range(len(lines)), [line["variant"] for line in reversed(lines)])
    axes.set(xlabel=" and ".join(names), ylim=(-0.6, len(lines) - 0.4))
    axes.legend(fontsize="x-small")
    means = [abs(mean(line["figures"][name])[0]) for line in lines for name in names]
    if max(means) > 30 * min(means):  # what diverged would hide all else
        axes.set_xscale("symlog")
        axes.set_xlim(left=min(0.0, *(min(line["figures"][name]) for line in lines for name in names)))
