"""The table of presets: settings that are known to work, by (algorithm, environment), each with its source.

An environment of None is the algorithm's default. Everything that a row leaves out is the default of the algorithm's
configuration and of the network.
"""

from jaxrl.errors import unknown
from jaxrl.presets import continuous, exploring, policies, tabular, teams, values
from jaxrl.presets.preset import Preset

PRESETS = tabular.PRESETS | values.PRESETS | policies.PRESETS | continuous.PRESETS | exploring.PRESETS | teams.PRESETS


def preset(algorithm: str, environment: str) -> Preset:
    """The row of (algorithm, environment), or the algorithm's default."""
    default = PRESETS.get((algorithm, None))
    row = PRESETS.get((algorithm, environment), default)
    if row is None:
        raise unknown("algorithm", algorithm, sorted({name for name, _ in PRESETS}))
    return row
