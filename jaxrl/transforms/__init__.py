"""Transforms of environments, `Environment -> Environment`: they act before a time limit or a reset exists.

A transform that remembers something keeps it beside the world's own state (`carried.py`); masks, measures and pictures
are then those of the world inside, and its exact `model`, a table over the world's own states, is dropped. Where there
are several agents, each has its own draws and features, but for what is refused.
"""

from jaxrl.transforms.actions import action_repeat, sticky
from jaxrl.transforms.dynamics import endless, randomise
from jaxrl.transforms.features import _map_features, flatten, one_hot, rescale
from jaxrl.transforms.observations import flicker, frame_stack, noisy, time_aware
from jaxrl.transforms.rewards import scale_reward, shape_reward

__all__ = [
    "_map_features", "action_repeat", "endless", "flatten", "flicker", "frame_stack", "noisy", "one_hot", "randomise",
    "rescale", "scale_reward", "shape_reward", "sticky", "time_aware",
]  # fmt: skip
