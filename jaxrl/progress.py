"""Progress on standard error: a live bar on a terminal, a line per tenth elsewhere, or nothing; all with one face."""

import math
import sys
import time
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Report(NamedTuple):
    """Where training stands."""

    updates: int
    env_steps: int
    mean_return: float  # of the episodes that ended lately; NaN before the first one


class Meter(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def start(self, report: Report) -> None:
        """Where this process takes up the run."""

    def show(self, report: Report) -> None: ...
    def say(self, line: str) -> None:
        """One line that stays."""


def meter(num_updates: int, shown: bool) -> Meter:
    """The meter that fits standard error."""
    if not shown:
        return Silent(num_updates)
    return Bar(num_updates) if sys.stderr.isatty() else Lines(num_updates)


class Silent:
    """Shows nothing, and keeps the time for those that do."""

    def __init__(self, num_updates: int) -> None:
        self.num_updates = num_updates

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def start(self, report: Report) -> None:
        self.began, self.first = time.perf_counter(), report

    def show(self, report: Report) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def speed(self, report: Report) -> float:
        """Environment steps per second since `start`, compilation included."""
        return (report.env_steps - self.first.env_steps) / max(time.perf_counter() - self.began, 1e-9)


class Lines(Silent):
    """A line per tenth of the run, for logs."""

    tenth = 0

    def start(self, report: Report) -> None:
        super().start(report)
        self.tenth = 10 * report.updates // self.num_updates

    def show(self, report: Report) -> None:
        tenth = 10 * report.updates // self.num_updates
        if tenth > self.tenth:
            self.tenth = tenth
            self.say(f"{tenth:3d}0 %  {describe(report, self.num_updates, self.speed(report))}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Bar(Silent):
    """A live bar that redraws itself."""

    def __init__(self, num_updates: int) -> None:
        super().__init__(num_updates)
        self.bar = Progress(
            BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.fields[text]}"), TextColumn("time left"),
            TimeRemainingColumn(), console=Console(stderr=True),
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def start(self, report: Report) -> None:
        super().start(report)
        self.task = self.bar.add_task("", total=self.num_updates, completed=report.updates, text="compiling")

    def show(self, report: Report) -> None:
        text = describe(report, self.num_updates, self.speed(report))
        self.bar.update(self.task, completed=report.updates, text=text)

    def say(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


def describe(report: Report, num_updates: int, speed: float) -> str:
    mean = "-" if math.isnan(report.mean_return) else f"{report.mean_return:.2f}"
    where = f"update {report.updates:,}/{num_updates:,}  step {report.env_steps:,}"
    return f"{where}  {speed:,.0f} steps/s  mean return {mean}"
