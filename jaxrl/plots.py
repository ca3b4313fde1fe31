"""Pictures of a run. matplotlib is imported here only, and without a display."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np

from jaxrl import statistics


def learning_curve(
    file: str | os.PathLike[str] | IO[bytes], env_steps: Sequence[int], returns: np.ndarray, title: str
) -> None:
    """Draw returns [S, K] at env_steps [K]: one line, or for several seeds the interquartile mean with its 95 % band.

    A NaN (no episode ended there) is filled with the last value before it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    steps, returns = _filled(np.asarray(env_steps), np.asarray(returns, float))
    if len(returns) == 1:
        axes.plot(steps, returns[0], color="C0", linewidth=1.6, label="mean return")
    elif len(steps):
        middle, low, high = (np.asarray(line) for line in statistics.interquartile_mean_interval(returns))
        axes.plot(steps, returns.T, color="0.8", linewidth=0.7)
        axes.fill_between(steps, low, high, color="C0", alpha=0.25, linewidth=0, label="95 % interval (bootstrap)")
        axes.plot(steps, middle, color="C0", linewidth=1.8, label=f"interquartile mean of {len(returns)} seeds")
    axes.set(title=title, xlabel="environment steps", ylabel="return of finished episodes")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="best")
    figure.savefig(file, format="png")


Panel = Callable[[Any], None]  # draws on the axes that it is given


def page(file: str | os.PathLike[str] | IO[bytes], title: str, panels: Sequence[Panel], columns: int = 3) -> None:
    """Write a page of panels, row by row."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.6 * columns, 3.7 * rows), dpi=110, layout="constrained")
    figure.suptitle(title)
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.spines[["top", "right"]].set_visible(False)
        panel(axes)
    figure.savefig(file, format="png")


def heat_map(title: str, cells: np.ndarray, values: np.ndarray, arrows: np.ndarray | None = None) -> Panel:
    """values [M] at cells [M, 2] (row, column) of a map, and arrows [M, 2] (down, right) from them."""

    def draw(axes: Any) -> None:
        picture = np.full(cells.max(0) + 1, np.nan)
        picture[tuple(cells.T)] = values
        axes.figure.colorbar(axes.imshow(picture), ax=axes, shrink=0.85)
        axes.set(title=title, xticks=[], yticks=[])
        if arrows is not None:
            row, column = cells.T
            axes.quiver(column, row, arrows[:, 1], arrows[:, 0], angles="xy", scale_units="xy", scale=1.7,
                        pivot="mid", color="white", edgecolor="black", linewidth=0.5, width=0.011)  # fmt: skip

    return draw


def histogram(title: str, label: str, samples: Mapping[str, np.ndarray]) -> Panel:
    """How often values occur, for each of the named samples [M]."""

    def draw(axes: Any) -> None:
        bins = np.histogram_bin_edges(np.concatenate(list(samples.values())), 30)
        for name, values in samples.items():
            axes.hist(values, bins, histtype="stepfilled", alpha=0.45, label=name)
        axes.set(title=title, xlabel=label, ylabel="states")
        if len(samples) > 1:
            axes.legend(frameon=False, fontsize="small")

    return draw


def curves(title: str, label: str, lines: Sequence[np.ndarray]) -> Panel:
    """Lines [T] of any lengths, over their indices, which `label` names."""

    def draw(axes: Any) -> None:
        for line in lines:
            axes.plot(line, linewidth=1.2, marker="." if len(line) == 1 else "")
        axes.set(title=title, xlabel=label)
        axes.grid(alpha=0.3)

    return draw


def scatter(title: str, labels: tuple[str, str], points: np.ndarray, values: np.ndarray | None = None) -> Panel:
    """points [M, 2], coloured by values [M]; without those, beside the diagonal."""

    def draw(axes: Any) -> None:
        drawn = axes.scatter(*points.T, s=6, c="C0" if values is None else values)
        if values is None:
            axes.axline((points.mean(), points.mean()), slope=1, color="0.6", linewidth=0.8)
        else:
            axes.figure.colorbar(drawn, ax=axes, shrink=0.85)
        axes.set(title=title, xlabel=labels[0], ylabel=labels[1])

    return draw


def _filled(steps: np.ndarray, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry each seed's last value over its gaps; drop the steps before every seed has one."""
    known = ~np.isnan(returns)
    last = np.maximum.accumulate(np.where(known, np.arange(returns.shape[1]), -1), axis=1)
    complete = (last >= 0).all(axis=0)
    filled = np.take_along_axis(returns, np.maximum(last, 0), axis=1)
    return steps[complete], filled[:, complete]
