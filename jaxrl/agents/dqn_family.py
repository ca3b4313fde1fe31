"""Which parts a configuration of DQN asks for, and the algorithms that are DQN with other parts."""

from typing import Any, NamedTuple

from jaxrl import networks
from jaxrl.agents import dqn, value_heads, value_targets
from jaxrl.agents.replay import replay
from jaxrl.agents.value_heads import ValueHead
from jaxrl.agents.value_targets import Backup
from jaxrl.errors import UsageError, unknown
from jaxrl.types import Buffer, Environment, Network
from jaxrl.value_networks import AGGREGATIONS, ImplicitNetwork, QuantileNetwork, ValueNetwork, q_network

# {name: (what it is, what differs from the defaults of dqn.Config)}
FAMILY: dict[str, tuple[str, dict[str, Any]]] = {
    "dqn": ("", {}),
    "double_dqn": (
        "Double DQN (van Hasselt et al. 2016): one network chooses the action of the target, the other values it.",
        {"double": True},
    ),
    "dueling_dqn": (
        "Dueling DQN (Wang et al. 2016): streams of the state's value and of the actions' advantages over it.",
        {"dueling": True},
    ),
    "prioritized_dqn": (
        "DQN with prioritised replay (Schaul et al. 2016): what surprised most is learnt from most.",
        {"prioritized": True},
    ),
    "c51": (
        "C51 (Bellemare et al. 2017): the distribution of the return over a grid of values.",
        {"head": "categorical"},
    ),
    "rainbow": (
        "Rainbow (Hessel et al. 2018): double, dueling, noisy, multi-step, prioritised and categorical all at once.",
        {
            "double": True, "dueling": True, "noisy": True, "backup_steps": 3, "prioritized": True,
            "priority_exponent": 0.5, "head": "categorical", "epsilon_start": 0.0, "epsilon_end": 0.0,
        },
    ),
    "qr_dqn": (
        "QR-DQN (Dabney et al. 2018a): the quantiles of the return at fixed fractions.",
        {"head": "quantile"},
    ),
    "iqn": (
        "Implicit quantile networks (Dabney et al. 2018b): the quantiles of the return at any fraction.",
        {"head": "implicit", "num_quantiles": 8},
    ),
    "munchausen_dqn": (
        "Munchausen DQN (Vieillard et al. 2020): a soft policy, which is paid for its own log-probability.",
        {"soft": True},
    ),
    "her": (
        "Hindsight experience replay (Andrychowicz et al. 2017): DQN that learns from the goals that it did reach.",
        {"hindsight": "future"},
    ),
}  # fmt: skip


class Parts(NamedTuple):
    """What dqn.dqn takes beside the action space and the configuration."""

    network: Network
    buffer: Buffer
    head: ValueHead
    backup: Backup


def parts(env: Environment, settings: networks.Settings, config: dqn.Config) -> Parts:
    """What a configuration asks for in an environment of discrete actions."""
    heads = {  # what each learns by, and the module of its network with how many numbers it estimates of an action
        "expected": (value_heads.expected(), ValueNetwork, 0),
        "categorical": (value_heads.categorical(), ValueNetwork, config.num_atoms),
        "quantile": (value_heads.quantile(), QuantileNetwork, config.num_quantiles),
        "implicit": (value_heads.quantile(), ImplicitNetwork, config.num_quantiles),
    }
    for name, known in (("head", heads), ("aggregation", AGGREGATIONS)):
        if getattr(config, name) not in known:
            raise unknown(name, getattr(config, name), known)
    if config.head == "categorical" and not config.value_low < config.value_high:
        raise UsageError(f"value_low is {config.value_low}: expected less than value_high, {config.value_high}")
    if config.double and config.soft:
        raise UsageError("double is on, but a soft target has no best action to choose: turn double or soft off")
    head, module, num_estimates = heads[config.head]
    aggregate = AGGREGATIONS[config.aggregation] if config.dueling else None
    deviation = 0.5 if config.noisy else None  # at first (Fortunato et al. 2018)
    backup = value_targets.double if config.double else value_targets.maximum
    return Parts(
        q_network(settings, env.action_space.n, num_estimates, aggregate, deviation, module),
        replay(env, config),
        head,
        value_targets.munchausen if config.soft else backup,
    )
