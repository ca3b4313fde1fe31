"""What a user got wrong, in one line: the value, what was expected, what to do."""

import difflib
import numbers
from collections.abc import Iterable, Mapping
from typing import Any


class UsageError(ValueError):
    """A mistake in what was asked for; the command line prints its one line and exits with 2."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among the known ones; the nearest of them are suggested."""
    by_lower = {each.lower(): each for each in sorted(known)}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.6)
    if near:
        return UsageError(f"unknown {kind} {name!r}: did you mean {' or '.join(by_lower[each] for each in near)}?")
    return UsageError(f"unknown {kind} {name!r}: expected one of {', '.join(by_lower.values()) or 'none at all'}")


def at_least(name: str, value: float | None, lowest: float) -> None:
    """Refuse a number below the lowest that makes sense (None stands for no limit)."""
    if value is not None and not value >= lowest:
        raise UsageError(f"{name} is {value}: expected at least {lowest}")


def within(name: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a number outside the closed interval."""
    if not lowest <= value <= highest:
        raise UsageError(f"{name} is {value}: expected a number from {lowest} to {highest}")


def check_options(owner: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse an option that `owner` does not have, or one whose value is of another kind than its default."""
    for name, value in options.items():
        if name not in defaults:
            raise unknown(f"option of {owner}", name, defaults)
        if name == "max_steps":
            if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
                raise UsageError(f"option max_steps of {owner} is {value!r}: expected a whole number of steps")
            continue
        default, kind = defaults[name], _kind(defaults[name])
        if kind is None:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(default, bool)):
            expected = f"expected {type(default).__name__}, like its default {default!r}"
            raise UsageError(f"option {name} of {owner} is {value!r}: {expected}")


def _kind(default: Any) -> type | tuple[type, ...] | None:
    """What a value must be an instance of to stand for this default; None where anything may."""
    kinds = ((bool, bool), (numbers.Integral, numbers.Integral), (numbers.Real, numbers.Real), (str, str))
    for plain, accepted in (*kinds, ((tuple, list), (tuple, list))):
        if isinstance(default, plain):
            return accepted
    return None
