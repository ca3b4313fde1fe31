"""Checkpoints: what is read back is what was saved, to the bit, or a one-line error."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import checkpoint, keys
from jaxrl.errors import UsageError


class Pair(NamedTuple):
    left: Any
    right: Any


def tree_of_every_kind() -> dict[str, Any]:
    return {
        "float": jnp.array([[1.5, -0.0, jnp.inf], [jnp.nan, 1e-45, 3.0]], jnp.float32),
        "half": jnp.array([1.0, 3.140625, -jnp.inf], jnp.bfloat16),
        "bool": jnp.array([True, False]),
        "bytes": jnp.arange(7, dtype=jnp.uint8),
        "nested": Pair((jnp.zeros((), jnp.int32), ()), [Pair(jnp.int8(-3), None)]),
        "empty": jnp.zeros((0, 3)),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4, impl="rbg"), (2, 3)),
        "inlined key": keys.inline(jax.random.key(5)),
        "none": None,
    }


def raw(leaf: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def same(a: Any, b: Any) -> bool:
    """Equal structures, types, shapes and bits (so that NaN equals NaN and 0.0 is not -0.0)."""
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return all(x.dtype == y.dtype and x.shape == y.shape and raw(x).tobytes() == raw(y).tobytes() for x, y in pairs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "state"
    checkpoint.save(path, tree_of_every_kind())
    return path


def test_every_kind_of_leaf_comes_back_bit_for_bit(saved: Path) -> None:
    tree = tree_of_every_kind()
    assert same(checkpoint.load(saved, tree), tree)
    assert same(checkpoint.load(saved, jax.eval_shape(tree_of_every_kind)), tree)


def test_equal_trees_give_equal_files_and_leave_nothing_else(saved: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "again", tree_of_every_kind())
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_what_was_loaded_can_be_donated(saved: Path) -> None:
    loaded = checkpoint.load(saved, tree_of_every_kind())
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x, tree), donate_argnums=0)
    assert same(step(loaded), tree_of_every_kind())
    assert same(checkpoint.load(saved, tree_of_every_kind()), tree_of_every_kind())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"float": jnp.zeros((3, 2))}, r"\['float'\] holds float32\[2, 3\], expected float32\[3, 2\]"),
        ({"half": jnp.zeros(3, jnp.float16)}, r"\['half'\] holds bfloat16\[3\], expected float16\[3\]"),
        ({"key": jax.random.PRNGKey}, r"\['key'\] holds a threefry2x32 key of uint32\[2\], expected uint32\[2\]"),
        ({"keys": None}, r"\['keys'\] holds a rbg key of uint32\[2, 3, 4\], expected nothing"),
        ({"more": jnp.zeros(1)}, r"\['more'\] holds nothing, expected float32\[1\]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_structure_is_refused_by_name(saved: Path, change: dict[str, Any], message: str) -> None:
    change = {name: leaf(3) if callable(leaf) else leaf for name, leaf in change.items()}
    with pytest.raises(UsageError, match=message):
        checkpoint.load(saved, tree_of_every_kind() | change)


def test_a_cut_file_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for length in np.unique(np.linspace(0, len(whole) - 1, 60).astype(int)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(UsageError, match="not a readable saved state"):
            checkpoint.load(tmp_path / "cut", tree_of_every_kind())


def test_a_flipped_bit_is_refused_or_harmless(saved: Path, tmp_path: Path) -> None:
    """Every leaf has a checksum; what zip does not read (a date) may flip."""
    whole, refused = saved.read_bytes(), 0
    for place in np.random.default_rng(0).choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(place) % 8
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            assert same(checkpoint.load(tmp_path / "damaged", tree_of_every_kind()), tree_of_every_kind())
        except UsageError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 75


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("seed,updates\n")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("header.json", "{}")
    with zipfile.ZipFile(tmp_path / "newer", "w") as archive:
        archive.writestr("header.json", '{"format": "jaxrl checkpoint", "version": 99, "leaves": []}')
    for name, message in {
        "text": "not a readable saved state", "zip": "not a readable saved state", "newer": "version 99",
        "missing": "no such file", ".": "not a readable saved state",
    }.items():  # fmt: skip
        with pytest.raises(UsageError, match=message):
            checkpoint.load(tmp_path / name, {})


def test_a_failed_save_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "state", {"x": jnp.arange(3)})
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path / "state", {"x": object()})
    with pytest.raises(ZeroDivisionError), checkpoint.write_atomically(tmp_path / "state") as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert checkpoint.load(tmp_path / "state", {"x": jnp.arange(3)})["x"].tolist() == [0, 1, 2]


def test_a_kill_in_the_middle_of_a_save_leaves_the_last_one(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        import jax.numpy as jnp
        from jaxrl import checkpoint, keys
        checkpoint.save(sys.argv[1], {"x": jnp.arange(3)})
        os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        checkpoint.save(sys.argv[1], {"x": jnp.arange(3) + 10})
    """
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state")], cwd=os.getcwd())
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.load(tmp_path / "state", {"x": jnp.arange(3)})["x"].tolist() == [0, 1, 2]
    checkpoint.save(tmp_path / "state", {"x": jnp.arange(3) + 20})
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
