"""Pictures of a run. matplotlib is imported here only, and without a display."""

import os
from collections.abc import Sequence
from typing import IO

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


def _filled(steps: np.ndarray, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry each seed's last value over its gaps; drop the steps before every seed has one."""
    known = ~np.isnan(returns)
    last = np.maximum.accumulate(np.where(known, np.arange(returns.shape[1]), -1), axis=1)
    complete = (last >= 0).all(axis=0)
    filled = np.take_along_axis(returns, np.maximum(last, 0), axis=1)
    return steps[complete], filled[:, complete]
