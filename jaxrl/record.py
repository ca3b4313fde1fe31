"""The hook that records a run: reports to the meter, rows to metrics.csv, the state to its file."""

import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl import backend, checkpoint, plots, run_folder
from jaxrl.progress import Meter, Report
from jaxrl.run import Metrics
from jaxrl.run_folder import Row
from jaxrl.settings import Settings
from jaxrl.statistics import Mean
from jaxrl.types import Trainer, TrainState


class Record:
    """`begin`, then a hook of `jaxrl.run.run`, then `end`. Without a folder it only keeps the rows."""

    def __init__(self, settings: Settings, folder: Path | None, meter: Meter, save_seconds: float) -> None:
        self.settings, self.folder, self.meter, self.save_seconds = settings, folder, meter, save_seconds
        self.rows: list[Row] = []
        self.report = Report(0, 0, float("nan"))
        self.manifest: dict[str, Any] = {}
        self.began = self.saved_at = time.monotonic()

    def begin(self, trainer: Trainer, keys: jax.Array) -> TrainState:
        """The state to train from: a new one, or the one that the folder holds."""
        realised = self.settings.num_updates * self.settings.steps_per_update
        if realised != self.settings.num_steps:
            self.meter.say(
                f"{self.settings.num_steps:,} steps are not a whole number of updates: training for {realised:,} "
                f"({self.settings.num_updates:,} updates of {self.settings.steps_per_update:,} steps)"
            )
        init = backend.jit_once(trainer.init)
        if self.folder and (self.folder / run_folder.STATE).exists():
            state = checkpoint.load(self.folder / run_folder.STATE, jax.eval_shape(init, keys))
            state = jax.device_put(state, init.lower(keys).compile().output_shardings)
        else:
            state = init(keys)
        updates = int(np.max(np.asarray(state.updates)))
        self.report = Report(updates, updates * self.settings.steps_per_update, float("nan"))
        if self.folder:
            self.rows = run_folder.read_rows(self.folder, updates)
        self.meter.start(self.report)
        return state

    def __call__(self, env_steps: int, state: TrainState, metrics: Metrics) -> None:
        updates = env_steps // self.settings.steps_per_update
        means = {name: _mean_over_updates(each, self.settings.num_seeds) for name, each in metrics.items()}
        rows: list[Row] = [
            {"seed": seed, "updates": updates, "env_steps": env_steps} | {name: each[i] for name, each in means.items()}
            for i, seed in enumerate(self.settings.seeds)
        ]
        if self.folder and not self.manifest:
            self.manifest = run_folder.open_session(self.folder, self.settings, self.report.env_steps, self.rows)
        self.rows += rows
        self.report = Report(updates, env_steps, recent_return(self.rows, self.settings.num_seeds))
        self.meter.show(self.report)
        if self.folder:
            run_folder.append_rows(self.folder, rows)
            if time.monotonic() - self.saved_at > self.save_seconds:
                self.save(state)

    def save(self, state: TrainState) -> None:
        assert self.folder
        run_folder.save_state(self.folder, state)
        self.saved_at = time.monotonic()

    def end(self, state: TrainState, compile_seconds: float) -> None:
        """Save the trained state, draw the curve, close the manifest."""
        if not self.folder:
            return
        self.save(state)
        self.draw()
        self.manifest |= {
            "finished": run_folder.now(),
            "seconds": round(time.monotonic() - self.began, 3),
            "compile_seconds": round(compile_seconds, 3),
            "env_steps": self.report.env_steps,
            "updates": self.report.updates,
        }
        run_folder.write_manifest(self.folder, self.manifest)

    def draw(self) -> None:
        """The learning curve of every row so far."""
        assert self.folder
        returns = np.array([row["episode_return"] for row in self.rows], float).reshape(-1, self.settings.num_seeds).T
        steps = [row["env_steps"] for row in self.rows[:: self.settings.num_seeds]]
        title = f"{self.settings.algorithm} on {self.settings.environment}"
        with checkpoint.write_atomically(self.folder / run_folder.CURVE) as file:
            plots.learning_curve(file, steps, returns, title)


def recent_return(rows: list[Row], num_seeds: int) -> float:
    """The mean return of the last ten reports over all seeds; NaN where no episode ended in them."""
    returns = [row["episode_return"] for row in rows[-10 * num_seeds :]]
    return float(np.nanmean(returns)) if not np.isnan(returns).all() else math.nan


def _mean_over_updates(metric: Mean, num_seeds: int) -> list[float]:
    """A metric [updates] or [updates, S, ...] -> its mean per seed, to the nine digits that a float32 has."""
    axes = tuple(axis for axis in range(metric.total.ndim) if axis != 1 or num_seeds == 1)
    return [float(f"{mean:.9g}") for mean in metric.value(axes).reshape(num_seeds)]
