"""Offline data sets: what happened, in one npz file that numpy alone can read, and back to the same bits.

A file holds one array per leaf of a rollout, named by its place (`obs.features`, `reward`, `extras.log_prob`), and a
`header`, a JSON text with format, version, structure and metadata. An observation is stored once: `next_obs` holds only
those that are not the `obs` of the step behind them, and `next_obs_at`, bool [T, N], says where they belong.
"""

import json
import math
import os
import urllib.parse
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import export, loop
from jaxrl.buffers import storage
from jaxrl.buffers.storage import Storage
from jaxrl.checkpoint import write_atomically
from jaxrl.errors import UsageError, at_least
from jaxrl.keys import inline
from jaxrl.types import Agent, Buffer, Environment, Observation, Rollout, Transition, Tree
from jaxrl.vectorize import vectorize

FORMAT = "jaxrl data set"
VERSION = 1


class Dataset(NamedTuple):
    rollout: Rollout  # of numpy arrays: steps [T, N, ...], or [T, ...] where they were saved so
    metadata: dict[str, Any]


def save(path: str | os.PathLike[str], data: Rollout | Transition, metadata: Mapping[str, Any] | None = None) -> None:
    """Write steps [T, N, ...] or [T, ...], and the carry before them, to path, whole or not at all.

    Containers are dicts, tuples, lists and observations; a record of another kind is read back as a dict of its fields.
    """
    rollout = data if isinstance(data, Rollout) else Rollout(data, ())
    rollout = jax.tree.map(_to_numpy, rollout)
    kept, elsewhere = _without_successors(rollout.steps)
    arrays: dict[str, np.ndarray] = {"next_obs_at": elsewhere}
    parts = kept._asdict() | {"carry": rollout.carry}
    structure = {name: _write(part, name, arrays) for name, part in parts.items()}
    header = {"format": FORMAT, "version": VERSION, "structure": structure, "metadata": dict(metadata or {})}
    try:
        text = json.dumps(header)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the metadata hold something that JSON cannot: {error}") from None
    with write_atomically(path) as file:
        np.savez_compressed(file, header=np.array(text), **arrays)  # type: ignore[arg-type]


def load(path: str | os.PathLike[str]) -> Dataset:
    """The data set at path."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}")
            if header["version"] != VERSION:
                found = f"written in format version {header['version']}"
                raise UsageError(f"{path}: {found}, this jaxrl reads version {VERSION}")
            parts = {name: _read(part, archive) for name, part in header["structure"].items()}
            carry = parts.pop("carry")
            return Dataset(
                Rollout(_with_successors(Transition(**parts), archive["next_obs_at"]), carry), header["metadata"]
            )
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file, expected a data set") from None
    except UsageError:
        raise
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError, AttributeError,
            RuntimeError) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: not a readable data set ({reason})") from None


def collect(
    agent: Agent, state: Tree, env: Environment, num_steps: int, num_rows: int = 16, seed: int = 0, explore: bool = True
) -> Rollout:
    """What an agent does in `num_steps` steps or a few more: steps [num_steps / N rounded up, N, ...].

    `env` is what the agent reads, so the adapted environment of a result.
    """
    at_least("num_steps", num_steps, 1)
    at_least("num_rows", num_rows, 1)
    venv = vectorize(env, num_rows)
    roll = loop.collect(agent, venv, -(-num_steps // num_rows))

    @jax.jit
    def play(key: Any, state: Tree) -> Rollout:
        reset_key, act_key = jax.random.split(inline(key))
        task = jax.tree.map(jnp.asarray, venv.params)
        env_state, timestep = venv.reset(reset_key, task)
        return roll(act_key, state, env_state, timestep, agent.begin(num_rows), task, explore)[3]

    return jax.tree.map(np.asarray, play(jax.random.key(seed), state))


def to_buffer(buffer: Buffer, data: Rollout, length: int | None = None) -> Any:
    """A buffer's state that holds the steps [T, N, ...], added by `length` of the T at a time (by default all at once).

    Its capacity must be a multiple of length * N.
    """
    num_steps = data.steps.reward.shape[0]
    length = num_steps if length is None else length
    if length < 1 or num_steps % length:
        raise UsageError(f"length is {length}, but must divide the {num_steps} steps of the data set")
    add, state = jax.jit(buffer.add, donate_argnums=0), jax.jit(buffer.init)(jax.tree.map(lambda x: x[:1], data))
    for begin in range(0, num_steps, length):
        part = jax.tree.map(lambda x, begin=begin: x[begin : begin + length], data.steps)
        state = add(state, Rollout(part, data.carry))
    return state


def from_buffer(state: Any) -> Rollout:
    """All that a buffer holds, oldest first: steps [T, N, ...]; a buffer of windows keeps no extras."""
    parts = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, Storage))
    held = next(part for part in parts if isinstance(part, Storage))
    num_rows = storage.sizes(held)[1]
    slots = storage.held(held, jnp.arange(int(held.size))).reshape(-1, num_rows)
    return Rollout(jax.tree.map(np.asarray, storage.read(held, slots)), ())


def to_minari(dataset_id: str, data: Rollout, env: Environment, description: str | None = None) -> Any:
    """Write steps [T, N, ...] that were played in `env` to Minari's local store, as `name-v0`; see `for_minari`."""
    return export._module("minari").save(dataset_id, data, env, description)


def from_minari(dataset_id: str) -> Dataset:
    """A data set of Minari's local store as steps [T, 1, ...], one episode behind the other."""
    return export._module("minari").load(dataset_id)


def _to_numpy(leaf: Any) -> np.ndarray:
    if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise UsageError("the data hold a random key, which a data set cannot: leave it out of the extras")
    array = np.asarray(leaf)
    if array.dtype.kind in "OSUMm":
        raise UsageError(f"the data hold a leaf of dtype {array.dtype}, expected numbers and truth values alone")
    return array


def _without_successors(steps: Transition) -> tuple[Transition, np.ndarray]:
    """Steps whose next_obs [K, ...] are only those that are not the next step's obs, and where [T, ...] these are."""
    here, there = jax.tree.leaves(steps.obs), jax.tree.leaves(steps.next_obs)
    if len({jax.tree.structure(obs) for obs in (steps.obs, steps.next_obs)}) > 1:
        raise UsageError("obs and next_obs of a data set differ in structure: expected the same fields in both")
    batch = os.path.commonprefix([x.shape for x in (steps.reward, *here)])[:2]
    elsewhere = np.zeros(batch, bool)
    elsewhere[-1:] = True
    for obs, following in zip(here, there, strict=True):
        elsewhere[:-1] |= np.any(_raw(obs[1:], len(batch)) != _raw(following[:-1], len(batch)), axis=-1)
    return steps._replace(next_obs=jax.tree.map(lambda x: x[elsewhere], steps.next_obs)), elsewhere


def _raw(x: np.ndarray, batch_axes: int) -> np.ndarray:
    """The bytes of x [*batch, ...]: uint8 [*batch, D]."""
    width = math.prod(x.shape[batch_axes:]) * x.itemsize
    return np.frombuffer(x.tobytes(), np.uint8).reshape(*x.shape[:batch_axes], width)


def _with_successors(steps: Transition, elsewhere: np.ndarray) -> Transition:
    def join(obs: np.ndarray, others: np.ndarray) -> np.ndarray:
        following = np.roll(obs, -1, axis=0)
        following[elsewhere] = others
        return following

    return steps._replace(next_obs=jax.tree.map(join, steps.obs, steps.next_obs))


def _write(tree: Tree, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """The structure of tree in JSON's terms; its leaves go to `arrays` under their places."""
    match tree:
        case None:
            return None
        case np.ndarray():
            # numpy's own files know no bfloat16: its bytes are written, and its name is kept in the structure.
            plain = tree if tree.dtype.kind in "biufc" else tree.view(f"u{tree.dtype.itemsize}")
            arrays[place] = plain
            return {"array": place, "dtype": tree.dtype.name}
        case Observation():
            return {"observation": _write_fields(tree._asdict(), place, arrays)}
        case dict():
            return {"dict": _write_fields(tree, place, arrays)}
        case tuple() if hasattr(tree, "_asdict"):
            return {"dict": _write_fields(tree._asdict(), place, arrays)}
        case tuple() | list():
            return {type(tree).__name__: [_write(each, f"{place}.{i}", arrays) for i, each in enumerate(tree)]}
    raise UsageError(f"{place} of a data set is a {type(tree).__name__}: expected arrays in dicts, tuples and lists")


def _write_fields(fields: Mapping[Any, Tree], place: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name in fields):
        raise UsageError(f"{place} of a data set is a dict whose keys are not texts: {', '.join(map(repr, fields))}")
    quoted = {name: urllib.parse.quote(name, safe=" ").replace(".", "%2E") for name in fields}
    return {name: _write(each, f"{place}.{quoted[name]}", arrays) for name, each in fields.items()}


def _read(structure: Any, archive: Any) -> Tree:
    match structure:
        case None:
            return None
        case {"array": place, "dtype": dtype}:
            return archive[place].view(jnp.dtype(dtype))
        case {"observation": fields}:
            return Observation(**{name: _read(each, archive) for name, each in fields.items()})
        case {"dict": fields}:
            return {name: _read(each, archive) for name, each in fields.items()}
        case {"tuple": parts}:
            return tuple(_read(each, archive) for each in parts)
        case {"list": parts}:
            return [_read(each, archive) for each in parts]
    raise ValueError(f"its structure holds {structure!r}")
