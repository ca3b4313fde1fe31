"""What a preset says."""

from typing import Any, NamedTuple


class Preset(NamedTuple):
    source: str
    num_steps: int  # environment steps over all environments
    num_envs: int
    rollout_length: int
    config: dict[str, Any] = {}
    network: dict[str, Any] = {}
    curiosity: dict[str, Any] = {}
    team: dict[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """The part that settings are made of."""
        return {name: value for name, value in self._asdict().items() if name != "source"}
