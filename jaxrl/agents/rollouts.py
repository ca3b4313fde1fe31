"""What every agent does with a rollout before it learns from it."""

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.types import Transition


def blank_invalid(steps: Transition) -> Transition:
    """Steps [...] with zeros where they are not valid, so that nothing that stands there, even NaN, is learnt from."""
    blank = jax.tree.map(jnp.zeros_like, steps)
    return trees.where(steps.valid, steps, blank)._replace(first=steps.first)
