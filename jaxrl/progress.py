"""Progress on standard error: a live bar on a terminal, a line per tenth elsewhere, or nothing; all with one face."""

import math
import sys
import time
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Report(NamedTuple):
    """Where training stands."""

    updates: int
    env_steps: int
    mean_return: float  # over the episodes that ended lately; NaN before the first one


class Meter(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def start(self, report: Report) -> None:
        """Where this process takes up the run."""

    def show(self, report: Report) -> None: ...
    def say(self, line: str) -> None:
        """One line that stays."""


def meter(num_updates: int, num_seeds: int, shown: bool) -> Meter:
    """The meter that fits standard error, for a run of so many updates of each seed."""
    kind = (Bar if sys.stderr.isatty() else Lines) if shown else Silent
    return kind(num_updates, num_seeds)


class Silent:
    """Shows nothing, and keeps the time for those that do."""

    speed = 0.0  # environment steps per second, over all seeds

    def __init__(self, num_updates: int, num_seeds: int) -> None:
        self.num_updates, self.num_seeds = num_updates, num_seeds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def start(self, report: Report) -> None:
        self.since = [(time.perf_counter(), report.env_steps)]

    def show(self, report: Report) -> None:
        now, (then, env_steps) = time.perf_counter(), self.since[-1]
        self.speed = (report.env_steps - env_steps) * self.num_seeds / max(now - then, 1e-9)
        if len(self.since) == 1:  # the first report comes after compilation: count from there on
            self.since.append((now, report.env_steps))

    def say(self, line: str) -> None:
        pass

    def text(self, report: Report) -> str:
        mean = "-" if math.isnan(report.mean_return) else f"{report.mean_return:.1f}"
        where = f"update {report.updates:,}/{self.num_updates:,}  step {report.env_steps:,}"
        return f"{where}  {self.speed:,.0f} steps/s  return {mean}"


class Lines(Silent):
    """A line per tenth of the run, for logs."""

    tenth = 0

    def start(self, report: Report) -> None:
        super().start(report)
        self.tenth = 10 * report.updates // self.num_updates

    def show(self, report: Report) -> None:
        super().show(report)
        tenth = 10 * report.updates // self.num_updates
        if tenth > self.tenth:
            self.tenth = tenth
            self.say(f"{10 * tenth:3d} %  {self.text(report)}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Bar(Silent):
    """A live bar that redraws itself."""

    def __init__(self, num_updates: int, num_seeds: int) -> None:
        super().__init__(num_updates, num_seeds)
        self.bar = Progress(  # 80 characters wide, usually
            BarColumn(bar_width=8),
            TextColumn("{task.fields[text]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def start(self, report: Report) -> None:
        super().start(report)
        self.task = self.bar.add_task("", total=self.num_updates, completed=report.updates, text="compiling")

    def show(self, report: Report) -> None:
        super().show(report)
        self.bar.update(self.task, completed=report.updates, text=self.text(report))

    def say(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
