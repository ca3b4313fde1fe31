"""Reinforcement learning that reads like optax: records of pure functions, from one environment to a trained agent.

`jaxrl.train("ppo", "cartpole")` is the short way; `jaxrl.types` describes the parts that it is made of.
"""

import importlib
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
