"""The folder that a training run leaves: what decided it, what produced it, what it measured, and what it learnt.

config.yaml    the resolved settings           manifest.json  versions, device, git commit, times
metrics.csv    one row per seed and report     curve.png      the learning curve
state          the training state (`jaxrl.checkpoint`)
"""

import csv
import datetime
import importlib.metadata
import io
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from jaxrl import __version__, checkpoint
from jaxrl.checkpoint import write_atomically
from jaxrl.errors import UsageError
from jaxrl.settings import PARTS, Settings, check, read_yaml
from jaxrl.types import Tree

CONFIG, MANIFEST, METRICS, CURVE, STATE = "config.yaml", "manifest.json", "metrics.csv", "curve.png", "state"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "distrax", "gymnax", "numpy")

Row = dict[str, Any]


def default_path(algorithm: str, environment: str) -> Path:
    """A path that is free: runs/<algorithm>-<environment>-<time>."""
    name = f"{algorithm}-{environment.replace(':', '-')}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    candidates = (Path("runs", f"{name}-{index}" if index else name) for index in range(1000))
    return next(path for path in candidates if not path.exists())


def check_free(path: Path) -> None:
    """Refuse a path that a new run cannot have, and touch nothing."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, expected a folder for the run")
    if path.is_dir() and any(path.iterdir()):
        what = "already holds a run: resume it" if (path / CONFIG).exists() else "is not empty: empty it"
        raise UsageError(f"{path} {what}, or name another folder")
    nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{path} cannot be made: {nearest} is not a folder that can be written")


def check_same(path: Path, wanted: Settings) -> None:
    """Refuse to continue the run at path with other settings than its own."""
    old, new = read_settings(path).to_values(), wanted.to_values()
    for part in (part for part in PARTS if part not in ("curiosity", "team")):  # which have names of the config's
        old |= old.pop(part)
        new |= new.pop(part)
    for name, value in new.items():
        if old.get(name) != value:
            raise UsageError(f"{path} holds another run: its {name} is {old.get(name)!r}, not {value!r}")


def read_settings(path: Path) -> Settings:
    """The settings of a run folder; a UsageError where path is none."""
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder, expected the folder of a run")
    if not (path / CONFIG).is_file():
        raise UsageError(f"{path} is not the folder of a run: it has no {CONFIG}")
    try:
        return check(read_yaml(path / CONFIG))
    except UsageError as error:
        raise UsageError(f"{path} is not the folder of a run: {error}") from None


def write_text(path: Path, text: str) -> None:
    with write_atomically(path) as file:
        file.write(text.encode())


def append_rows(folder: Path, rows: list[Row]) -> None:
    """Add rows to metrics.csv."""
    path, text = folder / METRICS, io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    writer.writerows(rows)
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())


def save_state(folder: Path, state: Tree) -> None:
    """Write the state, after the rows that it has reported: a folder never lacks rows of the state that it holds."""
    if (folder / METRICS).exists():
        with (folder / METRICS).open("r+b") as file:
            os.fsync(file.fileno())
    checkpoint.save(folder / STATE, state)


def read_rows(folder: Path, updates: int) -> list[Row]:
    """The rows of the first `updates` updates. A killed run may have reported more, the last line perhaps in part."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        rows = [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(whole)]
        return [row for row in rows if row["updates"] <= updates]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError):
        raise UsageError(f"{folder / METRICS} is damaged, expected the rows that a run has reported") from None


def open_session(folder: Path, settings: Settings, env_steps: int, rows: list[Row]) -> dict[str, Any]:
    """Start to write: settings, manifest, and metrics.csv cut back to the rows of the state that training starts from.

    Called with the first report, so that a run that fails before it leaves nothing.
    """
    path, earlier = folder / METRICS, _earlier_sessions(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, settings.to_yaml())
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(path, "".join(lines[: 1 + len(rows)])) if rows else path.unlink()
    manifest = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "config_hash": settings.hash(),
        "seeds": settings.seeds,
        "started": now(),
        "started_at_env_steps": env_steps,
        "versions": versions(),
        "device": device(),
        "git": git(),
        "earlier_sessions": earlier,
    }
    write_manifest(folder, manifest)
    return manifest


def _earlier_sessions(folder: Path) -> list[Any]:
    """What the manifest says about those who trained this run before."""
    path = folder / MANIFEST
    if not path.exists():
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        return [*before.pop("earlier_sessions", []), before]
    except (OSError, ValueError, AttributeError, TypeError):
        raise UsageError(f"{path} is damaged, expected a JSON object") from None


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    installed = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "jaxrl": __version__} | installed


def device() -> dict[str, Any]:
    first = jax.devices()[0]
    return {
        "platform": first.platform, "kind": first.device_kind, "count": jax.device_count(),
        "system": platform.platform(), "cores": os.cpu_count(),
    }  # fmt: skip


def git() -> dict[str, Any] | None:
    """The commit of the checkout that jaxrl runs from, else of the working folder; None outside of one."""
    source = Path(__file__).resolve().parents[1]
    folder = source if (source / ".git").exists() else Path.cwd()
    command = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            [*command, "status", "--porcelain", "-uno"], capture_output=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
