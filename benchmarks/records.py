"""The result files: one JSON line for each measurement, with what is needed to judge and to repeat it."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PACKAGES = ("jaxrl", "jax", "jaxlib", "flax", "optax", "distrax", "gymnax", "numpy")


def commit() -> str:
    """The checked-out commit, marked where files other than results differ from it; "unknown" outside of git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs", ":!README.md")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> str:
    """Such as "2 cores of Intel(R) Xeon(R), Linux, Python 3.11.7"."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []  # fmt: skip
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{cores} cores of {processor}, {platform.system()}, Python {platform.python_version()}"


def stamp() -> dict[str, Any]:
    """What every line ends with: commit, versions, machine, date."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"commit": commit(), "versions": versions, "machine": machine(), "date": now}


def append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def newest(path: Path, *fields: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last line of each task (or of each value of the named fields)."""
    text = path.read_text() if path.exists() else ""
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    return {tuple(line[field] for field in fields): line for line in lines}


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, with aligned columns."""
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|-{rule}-|", *(f"| {line} |" for line in lines[1:])])


def choose(named: dict[str, Any], wanted: Iterable[str]) -> list[Any]:
    """The tasks of these names; all of them where none is named."""
    unknown = sorted(set(wanted) - set(named))
    if unknown:
        raise SystemExit(f"unknown task {', '.join(unknown)}; the tasks are {', '.join(named)}")
    return [task for name, task in named.items() if name in wanted or not wanted]
