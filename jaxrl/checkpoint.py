"""Save and load a pytree of arrays: one file, written atomically, read back bit for bit.

The file is a plain zip: `header.json` (format, version, and path, dtype and shape of every leaf) and one member of raw
bytes per leaf, each with the checksum that zip keeps. Orbax would bring asynchronous and multi-host writing, but costs
a second of imports, writes a folder (whose replacement is not one rename), and does not tell a foreign file from a
damaged one in one line.
"""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError
from jaxrl.types import Tree

FORMAT = "jaxrl checkpoint"
VERSION = 1


def save(path: str | os.PathLike[str], tree: Tree) -> None:
    """Write every leaf of tree (arrays, typed keys, Python scalars) to path, whole or not at all.

    The bytes go to a temporary file beside path, are forced to the disk, and take path's place in one rename. Equal
    trees give equal files.
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    rows = [{"path": jax.tree_util.keystr(place)} | _describe(leaf) for place, leaf in leaves]
    with write_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(
            zipfile.ZipInfo("header.json"), json.dumps({"format": FORMAT, "version": VERSION, "leaves": rows})
        )
        for index, (_, leaf) in enumerate(leaves):
            with archive.open(zipfile.ZipInfo(f"leaf/{index}"), "w", force_zip64=True) as member:
                member.write(np.asarray(_raw(leaf)).reshape(-1).view(np.uint8).data)


def load(path: str | os.PathLike[str], like: Tree) -> Tree:
    """A tree of like's structure (arrays or `jax.eval_shape` structs) with the leaves that were saved at path."""
    places, structure = jax.tree_util.tree_flatten_with_path(like)
    try:
        with zipfile.ZipFile(path) as archive:
            rows = _read_header(path, archive)
            _check(path, rows, {jax.tree_util.keystr(place): leaf for place, leaf in places})
            leaves = [_to_jax(row, archive.read(f"leaf/{index}"), places[index][1]) for index, row in enumerate(rows)]
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file, expected a saved state") from None
    except UsageError:
        raise
    except (OSError, zipfile.BadZipFile, EOFError, LookupError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: not a readable saved state ({reason})") from None
    return jax.tree.unflatten(structure, leaves)


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """`with write_atomically(path) as file`: path holds the old bytes until the block ends well, then the new ones."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # the rename itself must survive a power cut
        folder = os.open(path.parent, os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)


def _raw(leaf: Any) -> jax.Array:
    """The plain array behind a leaf: a typed key's data, anything else itself."""
    return jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _generator(leaf: Any) -> Any:
    """The generator of a leaf of typed keys (an array or its struct); None for other leaves."""
    generators: list[Any] = []
    if _is_key(leaf):
        jax.eval_shape(lambda key: generators.append(jax.random.key_impl(key)), leaf)
    return generators[0] if generators else None


def _describe(leaf: Any) -> dict[str, Any]:
    """How a leaf (an array or its struct) is written; what a saved and an expected one must agree in."""
    raw, generator = jax.eval_shape(_raw, leaf), _generator(leaf)
    return {"key": generator and str(generator), "dtype": raw.dtype.name, "shape": list(raw.shape)}


def _to_jax(row: dict[str, Any], data: bytes, like: Any) -> jax.Array:
    # A copy, so that the array owns its memory and a training step may be given it for reuse.
    array = jnp.array(np.frombuffer(data, jnp.dtype(row["dtype"])).reshape(row["shape"]), copy=True)
    return jax.random.wrap_key_data(array, impl=_generator(like)) if row["key"] else array


def _read_header(path: str | os.PathLike[str], archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    header = json.loads(archive.read("header.json"))
    if header["format"] != FORMAT:
        raise ValueError(f"its format is {header['format']!r}")
    if header["version"] != VERSION:
        raise UsageError(f"{path}: written in format version {header['version']}, this jaxrl reads version {VERSION}")
    return header["leaves"]


def _check(path: str | os.PathLike[str], rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    """Refuse a state of another structure, naming the first leaf that differs."""
    found = {row["path"]: _words(row) for row in rows}
    wanted = {place: _words(_describe(leaf)) for place, leaf in expected.items()}
    for place in [*wanted, *found]:
        if found.get(place) != wanted.get(place):
            has, needs = found.get(place, "nothing"), wanted.get(place, "nothing")
            raise UsageError(f"{path}: the state of another set-up: {place} holds {has}, expected {needs}")


def _words(row: dict[str, Any]) -> str:
    return (f"a {row['key']} key of " if row["key"] else "") + f"{row['dtype']}{row['shape']}"
