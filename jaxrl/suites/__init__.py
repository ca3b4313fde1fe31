"""Other JAX suites as environments of ours: `make("pgx:tic_tac_toe")`. One file per suite, imported when it is named.

What is taken is the suite's raw step, without its wrappers. Its time limit becomes `max_steps`: a step at the limit is
no termination. The suites draw from plain keys (uint32 [2]), which some of them keep in their state.
"""

import importlib
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxrl.errors import UsageError, at_least, check_options, unknown
from jaxrl.types import Environment


class Suite(NamedTuple):
    distribution: str  # what pip installs, and the name of the extra of jaxrl that does it
    version: tuple[int, ...]  # the lowest that is understood
    module: str  # what is imported
    about: str


SUITES = {
    "brax": Suite("brax", (0, 14), "brax.envs", "physics (Freeman et al. 2021)"),
    "jaxmarl": Suite("jaxmarl", (0, 2), "jaxmarl", "several agents (Rutherford et al. 2024)"),
    "jumanji": Suite("jumanji", (1, 1), "jumanji", "combinatorial problems (Bonnet et al. 2024)"),
    "navix": Suite("navix", (0, 7, 4), "navix", "gridworlds (Pignatelli et al. 2024)"),
    "pgx": Suite("pgx", (2, 6), "pgx", "board games (Koyamada et al. 2023)"),
    "playground": Suite("playground", (0, 2), "mujoco_playground", "robots (Zakka et al. 2025)"),
}


def is_suite_name(name: object) -> bool:
    """Whether a name is of the kind "suite:environment"."""
    return isinstance(name, str) and ":" in name


def make(name: str, options: Mapping[str, Any] | None = None) -> Environment:
    """The environment "suite:name". options: `max_steps` (None: no limit), and keywords of the suite's own maker."""
    suite_name, _, env_name = name.partition(":")
    if suite_name not in SUITES:
        raise unknown("suite", suite_name, SUITES)
    library, adapter = load(suite_name), importlib.import_module(f"jaxrl.suites.{suite_name}")
    if env_name not in adapter.names(library):
        raise unknown(f"{suite_name} environment", env_name, adapter.names(library))
    options = dict(options or {})
    limited, limit = "max_steps" in options, options.pop("max_steps", None)
    check_options(name, {"max_steps": limit}, {"max_steps": None})
    at_least("max_steps", limit, 1)
    try:
        env = adapter.make(library, env_name, options)
    except TypeError as error:
        if not options:
            raise
        raise UsageError(f"the options {options} do not fit {name}: {str(error).splitlines()[0]}") from None
    return env._replace(max_steps=limit) if limited else env


def load(suite_name: str) -> Any:
    """The suite's module, imported only now."""
    suite = SUITES[suite_name]
    wanted = ".".join(map(str, suite.version))
    advice = f'expected {wanted} or later: pip install "{suite.distribution}>={wanted}" (or "jaxrl[{suite_name}]")'
    try:
        version = importlib.metadata.version(suite.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(f"{suite.distribution} is not installed; {advice}") from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < suite.version:
        raise UsageError(f"{suite.distribution} {version} is too old; {advice}")
    return importlib.import_module(suite.module)
