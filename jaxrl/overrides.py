"""Settings from outside Python: a YAML file, and the options of a command that only the algorithm knows."""

import os
from typing import Any

from jaxrl import agents, networks
from jaxrl.errors import UsageError, unknown
from jaxrl.settings import PARTS, Settings, parse_yaml, read_yaml

ENVIRONMENT = "environment."  # --environment.max-steps 50 is the environment's option `max_steps`
# --curiosity.coefficient 0.1 likewise; and --curiosity rnd is its option `bonus`
SHORT = {"curiosity": "bonus", "team": "learning"}


def from_file(path: str | os.PathLike[str], algorithm: str, environment: str) -> dict[str, Any]:
    """What a YAML file sets for this pair. The file may be a whole config.yaml or a few lines of one."""
    values = read_yaml(path)
    for name in values:
        if name not in Settings.model_fields:
            raise unknown(f"setting in {path}", name, Settings.model_fields)
    for name, wanted in (("algorithm", algorithm), ("environment", environment)):
        if values.pop(name, wanted) != wanted:
            raise UsageError(f"{path} is the settings of another {name}, expected {wanted}")
    return _without_derived(values)


def from_options(words: list[str], algorithm: str) -> dict[str, Any]:
    """--learning-rate 1e-3 --hidden 64 64 --no-name --environment.max-steps 50 -> {part: {name: value}}."""
    defaults = {"network": networks.Settings()._asdict(), "config": agents.default_config(algorithm)._asdict()}
    values: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for option, texts in _grouped(words):
        name = option.replace("-", "_")
        if name.startswith(ENVIRONMENT):
            values["environment_options"][name.removeprefix(ENVIRONMENT)] = _value(texts, None)
            continue
        part, _, own = name.partition(".")
        if part in SHORT:
            values[part][own or SHORT[part]] = _value(texts, None)
            continue
        negated = name.removeprefix("no_")
        owner = next((part for part, names in defaults.items() if name in names or negated in names), None)
        if owner is None:
            raise _unknown_option(option, algorithm, defaults)
        if name in defaults[owner]:
            values[owner][name] = _value(texts, defaults[owner][name])
        elif texts:
            raise UsageError(f"--{option} takes no value, not {' '.join(texts)!r}")
        else:
            values[owner][negated] = False
    return {part: each for part, each in values.items() if each}


def _grouped(words: list[str]) -> list[tuple[str, list[str]]]:
    """Each --option with the words behind it; --option=word is one."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            option, equals, text = word[2:].partition("=")
            groups.append((option, [text] if equals else []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UsageError(f"unexpected argument {word!r}: expected an algorithm, an environment, then --options")
    return groups


def _value(texts: list[str], default: Any) -> Any:
    values = [parse_yaml(text) if text not in ("none", "None") else None for text in texts]
    if isinstance(default, tuple):
        return values
    return True if not values else values[0] if len(values) == 1 else values


def _unknown_option(option: str, algorithm: str, defaults: dict[str, dict[str, Any]]) -> UsageError:
    names = [name for part in defaults.values() for name in part]
    names += [name for name in Settings.model_fields if name not in ("algorithm", "environment", *PARTS)]
    names += ["folder", "config", "resume", "no_progress", "save_seconds"]
    return unknown(f"option of {algorithm}", f"--{option}", [f"--{name.replace('_', '-')}" for name in names])


def _without_derived(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out total_updates where it only repeats the file's own number of updates: another num_steps changes it."""
    match values:
        case {"num_steps": int(steps), "num_envs": int(envs), "rollout_length": int(length), "config": dict(config)}:
            if envs * length > 0 and config.get("total_updates") == steps // (envs * length):
                return values | {"config": {name: each for name, each in config.items() if name != "total_updates"}}
    return values
