"""Reinforcement learning that reads like optax: records of pure functions, from one environment to a trained agent.

`jaxrl.train("ppo", "cartpole")` is the short way; `jaxrl.types` describes the parts that it is made of.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxrl.experiment import Result, load, train

__version__ = "0.1.0"
__all__ = ["Result", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import `jaxrl.experiment` only when one of its names is asked for: it brings JAX with it."""
    if name in ("Result", "load", "train"):
        return getattr(importlib.import_module("jaxrl.experiment"), name)
    raise AttributeError(f"module 'jaxrl' has no attribute {name!r}")


class _Gymnasium:
    """A finder that finds nothing: it sees gymnasium being imported, and lets it know our worlds.

    Gymnasium has no entry points; what is registered there is what has been imported. So `gymnasium.make` knows our
    worlds once jaxrl is imported, be it before or after gymnasium, and importing jaxrl alone brings neither.
    """

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("gymnasium.") and hasattr(sys.modules.get("gymnasium.envs.registration"), "register_envs"):
            sys.meta_path.remove(cls)
            importlib.import_module("jaxrl.export").register()


if hasattr(sys.modules.get("gymnasium"), "__version__"):  # it has been imported as a whole
    importlib.import_module("jaxrl.export").register()
else:
    sys.meta_path.insert(0, _Gymnasium)
