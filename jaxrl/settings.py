"""Everything that decides a run in one checked record, which a YAML file holds and a hash names."""

import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, create_model

from jaxrl import agents, envs, networks, suites
from jaxrl.agents import curiosity, teams
from jaxrl.errors import UsageError, unknown

Seed = Annotated[int, Field(ge=0, lt=2**31)]
PARTS = ("network", "config", "curiosity", "team", "environment_options")  # the settings that are mappings themselves


class Settings(BaseModel):
    """A resolved run: the same settings on the same versions and device give the same bits."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    algorithm: str
    environment: str
    environment_options: dict[str, Any] = {}
    num_steps: PositiveInt  # asked for, over all environments; the realised number is a whole number of updates
    num_envs: PositiveInt
    rollout_length: PositiveInt
    num_seeds: PositiveInt = 1
    seed: Seed = 0  # the first of the num_seeds seeds
    network: Any  # a networks.Settings
    config: Any  # the algorithm's own configuration
    curiosity: Any  # an agents.curiosity.Config
    team: Any  # an agents.teams.Config, read in worlds of several agents

    @property
    def steps_per_update(self) -> int:
        return self.num_envs * self.rollout_length

    @property
    def num_updates(self) -> int:
        return self.num_steps // self.steps_per_update

    @property
    def seeds(self) -> list[int]:
        return list(range(self.seed, self.seed + self.num_seeds))

    def to_values(self) -> dict[str, Any]:
        """Plain values, as a YAML file holds them; `check` reads them back."""
        parts = {part: getattr(self, part)._asdict() for part in ("network", "config", "curiosity", "team")}
        return json.loads(json.dumps({name: getattr(self, name) for name in Settings.model_fields} | parts))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_values(), sort_keys=False, allow_unicode=True)

    def hash(self) -> str:
        """sha256 of the canonical YAML."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()


def check(values: dict[str, Any]) -> Settings:
    """The settings that plain values (of a YAML file, of keywords) describe; else a one-line UsageError."""
    values = merge({part: {} for part in PARTS}, values)
    environment = values.get("environment")
    if environment not in envs.names() and not suites.is_suite_name(environment):
        raise unknown("environment", environment, envs.names())
    model = _model(str(values.get("algorithm")))
    values["config"] = agents.algorithm(values["algorithm"]).defaults | values["config"]
    try:
        # Through JSON, where strict means strict about meaning (no number from a text or a truth value) and a list may
        # still stand for a tuple.
        settings = model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise _one_line(error, values["algorithm"], model) from None
    except TypeError as error:
        raise UsageError(f"the settings hold something that YAML cannot: {error}") from None
    if settings.num_updates == 0:
        raise UsageError(
            f"num_steps is {settings.num_steps}, but one update takes {settings.steps_per_update} steps: "
            f"num_envs {settings.num_envs} x rollout_length {settings.rollout_length}"
        )
    if "total_updates" in settings.config._fields and "total_updates" not in values["config"]:
        config = settings.config._replace(total_updates=float(settings.num_updates))
        settings = settings.model_copy(update={"config": config})
    agents.validate(settings.config)
    agents.validate(settings.curiosity)
    return settings


@functools.cache
def _model(algorithm: str) -> type[Settings]:
    """Settings whose parts are of the types that this algorithm needs."""
    parts = {
        "network": networks.Settings, "config": agents.algorithm(algorithm).config, "curiosity": curiosity.Config,
        "team": teams.Config,
    }  # fmt: skip
    fields: dict[str, Any] = {name: (part, ...) for name, part in parts.items()}
    return create_model("Settings", __base__=Settings, **fields)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Plain values, those of `over` before those of `base`; a part that is a mapping itself is merged in its turn."""
    merged = {**base, **over}
    for part in PARTS:
        both = [values[part] for values in (base, over) if part in values]
        for each in both:
            if not isinstance(each, Mapping) or not all(isinstance(name, str) for name in each):
                raise UsageError(f"{part} should be a mapping of names to values, not {each!r}")
        if both:
            merged[part] = {**both[0], **both[-1]}
    return merged


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        values = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read, expected a YAML file ({_first_line(error)})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}: not YAML{place}: {getattr(error, 'problem', None) or _first_line(error)}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UsageError(f"{path}: expected a mapping of names to values")
    return values


def parse_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)  # noqa: S506  (a safe loader)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: 1e-3 is a float (1.1 reads it as a text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?((\d+\.?\d*|\.\d+)[eE][-+]?\d+|inf)$"), list("-+.0123456789i")
)


def _one_line(error: ValidationError, algorithm: str, model: type[BaseModel]) -> UsageError:
    first = error.errors()[0]
    *part, name = [str(place) for place in first["loc"] if not isinstance(place, int)] or ["settings"]
    if first["type"] == "extra_forbidden":
        owner = model.model_fields[part[0]].annotation if part else model
        kinds = {"config": algorithm, "network": "the network", "curiosity": "curiosity", "team": "the team"}
        kind = f"option of {kinds[part[0]]}" if part else "setting"
        return unknown(kind, name, getattr(owner, "_fields", None) or Settings.model_fields)
    if first["type"] == "missing":
        return UsageError(f"{name} is missing from the settings")
    return UsageError(f"{name}: {first['msg'][0].lower() + first['msg'][1:]}, not {first['input']!r}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
