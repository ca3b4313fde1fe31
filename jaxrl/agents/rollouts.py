"""What every agent does with a rollout before it learns from it."""

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.types import Transition


def blank_invalid(steps: Transition) -> Transition:
    """Steps [...] with zeros where they are not valid, so that nothing that stands there, even NaN, is learnt from.

    All actions are legal there, as a mask must have one.
    """
    blank = jax.tree.map(jnp.zeros_like, steps)
    if steps.obs.legal is not None:
        legal = jnp.ones_like(steps.obs.legal)
        blank = blank._replace(obs=blank.obs._replace(legal=legal), next_obs=blank.next_obs._replace(legal=legal))
    return trees.where(steps.valid, steps, blank)._replace(first=steps.first)
