"""Worlds by name: `make("gridworld")`. One file per world; imported as `jaxrl.envs`."""

import importlib
import pkgutil
import sys

if __name__ == "envs":
    # Found as the plain folder of a checkout: hand back the one package, so that no class exists twice.
    _package = importlib.import_module("jaxrl.envs")
    for _module in pkgutil.walk_packages(_package.__path__, "jaxrl.envs."):
        sys.modules[_module.name.removeprefix("jaxrl.")] = importlib.import_module(_module.name)
    sys.modules["envs"] = _package
else:
    from jaxrl.envs.check import check_env
    from jaxrl.envs.registry import make, names, register

    __all__ = ["check_env", "make", "names", "register"]
