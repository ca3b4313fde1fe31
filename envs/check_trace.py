"""One call of a world's function, traced: the program, the shapes it gives back, and what is wrong with them."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import spaces
from jaxrl.errors import UsageError
from jaxrl.types import Tree

JAX = Path(jax.__file__).parent
OWN = (Path(__file__), Path(__file__).with_name("check_walk.py"), Path(__file__).with_name("check.py"))


class WorldError(UsageError):
    """A world that breaks what it promises: what was found, what was expected, what to do."""


def fault(found: str, expected: str, advice: str) -> WorldError:
    return WorldError(" ".join(f"{found}: expected {expected}; {advice}".split()))


class Traced(NamedTuple):
    name: str
    function: Callable[..., Any]
    args: Any  # shapes
    out: Any  # shapes
    program: tuple[str, list[bytes]]  # its text, its constants


def trace(name: str, function: Callable[..., Any], *args: Any) -> Traced:
    """One call with arguments of these shapes, traced anew."""

    def watched(*args: Any) -> Any:
        leaves, structure = jax.tree.leaves(args), _structure(args)
        out = function(*args)
        now = jax.tree.leaves(args)
        if _structure(args) != structure or any(a is not b for a, b in zip(leaves, now, strict=True)):
            advice = "build new containers, with _replace or {**state, ...}"
            raise fault(f"{name} changes its arguments in place", "arguments that stay as they are", advice)
        return out

    try:
        program, out = jax.make_jaxpr(watched, return_shape=True)(*args)
    except WorldError:
        raise
    except Exception as error:
        raise untraceable(name, error) from error
    if any(isinstance(constant, jax.core.Tracer) for constant in program.consts):
        found = f"{name} reads an array that another call left behind"
        raise fault(found, "a pure function of its arguments", "keep that array in the state")
    text = re.sub(r"0x[0-9a-f]+", "", str(program))  # without the addresses of functions
    return Traced(name, function, args, out, (text, [_bytes(constant) for constant in program.consts]))


def _bytes(constant: Any) -> bytes:
    is_key = jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(constant) if is_key else constant).tobytes()


def untraceable(name: str, error: Exception) -> WorldError:
    """What an exception of the author's code, met while it was traced, means."""
    reasons = (
        (jax.errors.TracerBoolConversionError, "asks for the truth of a traced array", "jnp.where or jax.lax.cond"),
        (jax.errors.NonConcreteBooleanIndexError, "indexes with a mask", "jnp.where, which keeps the shape"),
        (jax.errors.TracerArrayConversionError, "hands a traced array to numpy", "the function of jax.numpy"),
        (jax.errors.ConcretizationTypeError, "makes a Python number of a traced array", "array operations"),
    )
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for file, line in frames if file not in OWN and JAX not in file.parents]
    place = f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""
    for kind, what, instead in reasons:
        if isinstance(error, kind):
            return fault(f"{name} {what}{place}", "code that JAX can trace", f"use {instead}")
    reason = str(error).splitlines()[0] if str(error) else ""
    return fault(f"{name} fails{place} with {type(error).__name__} {reason}", "code that JAX can trace", "correct it")


def _structure(tree: Tree) -> Any:
    return jax.tree.structure(tree, is_leaf=spaces.is_space)


def brief(tree: Any) -> str:
    """A shape as float32[2, 3]; a tree of them in one short line."""
    if hasattr(tree, "dtype"):
        return f"{getattr(tree.dtype, 'name', None) or tree.dtype.__name__}{list(tree.shape)}"
    if jax.tree_util.all_leaves([tree]):
        return repr(tree)
    text = " ".join(str(jax.tree.map(brief, tree)).replace("'", "").split())
    return text if len(text) <= 80 else text[:77] + "..."


def expect(what: str, found: Any, shape: tuple[int, ...], dtype: Any, advice: str) -> None:
    wanted = f"{np.dtype(dtype)}{list(shape)}"
    if brief(found) != wanted:
        raise fault(f"{what} {brief(found)}", wanted, advice)


def same(what: str, first: Tree, after: Tree) -> None:
    """What reset gives (as shapes) has the structure, shapes and dtypes of what step gives."""
    expected, advice = "the same of both, so that steps can be scanned", "convert one of the two (x.astype, reshape)"
    if _structure(first) != _structure(after):
        found = f"{what} is {brief(first)} after reset and {brief(after)} after step"
        raise fault(found, expected, advice)
    for (path, a), b in zip(jax.tree.leaves_with_path(first), jax.tree.leaves(after), strict=True):
        if brief(a) != brief(b):
            where = f"{what}{jax.tree_util.keystr(path)}"
            raise fault(f"{where} is {brief(a)} after reset and {brief(b)} after step", expected, advice)


def strong(named: dict[str, Tree], name: str) -> None:
    """No leaf is of weak type, which a Python number has: it would change what it is combined with, or recompile."""
    for what, tree in named.items():
        for path, leaf in jax.tree.leaves_with_path(tree):
            if getattr(leaf, "weak_type", False):
                where = f"{what}{jax.tree_util.keystr(path)} after {name} is {brief(leaf)} of weak type"
                raise fault(where, "a fixed dtype", "write jnp.int32(0) for 0 and jnp.float32(1) for 1.0")


def fits(features: Tree, space: Tree, agents: tuple[int, ...]) -> None:
    """Features (as shapes) have the structure, shapes and dtypes of their space, with a leading [A] of agents."""
    declared = jax.tree.leaves(space, is_leaf=spaces.is_space)
    if _structure(features) != _structure(space):
        advice = "nest both alike"
        raise fault(f"the observation is {brief(features)}", f"the structure of its space {brief(space)}", advice)
    for (path, leaf), part in zip(jax.tree.leaves_with_path(features), declared, strict=True):
        what = f"obs{jax.tree_util.keystr(path)} is"
        expect(what, leaf, (*agents, *part.shape), part.dtype, "correct the observation or its space")
