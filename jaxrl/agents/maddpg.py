"""Multi-agent DDPG (Lowe et al. 2017), and MATD3 (Ackermann et al. 2019), which is to it what TD3 is to DDPG.

a'        = what the target policies of all agents do at what each of them sees, o'
y_i       = r_i + discount * Q_i(o', a'; target)
critic i: descends E[(Q_i(o, a) - y_i)^2 / 2], with o and a of all agents, as one index deals them from replay
policy i: ascends E[Q_i(o, a with a_i = policy_i(o_i))]

It is DDPG over rows, A of which stand together: its networks have parameters for each agent [A, ...], and critics read
the rows of all. Acting reads an agent's own row alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents import ddpg, teams
from jaxrl.types import Agent, Array, Buffer, Key, Network, Observation, Rollout, Sample, Tree


def maddpg(
    policy: Network, critic: Network, action_space: Any, num_agents: int, config: ddpg.Config, buffer: Buffer
) -> Agent:
    """MADDPG for a team [N, A], over the network of one policy and that of one critic of (obs [A d], actions [A k]).

    Discrete actions are drawn by Gumbel-softmax. The buffer holds steps of the whole team.
    """
    agent = ddpg.ddpg(
        apart(policy, num_agents), together(critic, num_agents), action_space, config, of_rows(buffer, num_agents),
        num_agents=num_agents,
    )  # fmt: skip
    return teams.share_parameters(agent, num_agents)


def apart(network: Network, num_agents: int) -> Network:
    """A network without memory for each agent: parameters [A, ...], rows [R * A, ...] of which i % A is agent i's."""

    def step(params: Tree, carry: Tree, obs: Any, first: Array, key: Key | None = None) -> tuple[Tree, Array]:
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[first.ndim :]), (obs, first))
        outs = []
        for i in range(num_agents):
            seen, begins = jax.tree.map(lambda x, i=i: x[i::num_agents], rows)
            outs.append(network.step(jax.tree.map(lambda x, i=i: x[i], params), (), seen, begins)[1])
        return carry, jnp.stack(outs, 1).reshape(*first.shape, *outs[0].shape[1:])

    return Network(_inits(network.init, num_agents), network.begin, step, step)


def together(critic: Network, num_agents: int) -> Network:
    """A critic for each agent, which reads what all see and do: (obs, (own units, units that all took)) -> [R * A].

    Critic i takes the units of agent i from its own ones, through which its policy learns, and all others as they were.
    """

    def joint(obs: Observation, own: Array, taken: Array) -> list[tuple[Observation, Array]]:
        features, own, taken = (x.reshape(-1, num_agents, x.shape[-1]) for x in (obs.features, own, taken))
        mixed = [taken.at[:, i].set(own[:, i]) for i in range(num_agents)]
        every = Observation(features.reshape(features.shape[0], -1))
        return [(every, units.reshape(units.shape[0], -1)) for units in mixed]

    def step(params: Tree, carry: Tree, seen: Any, first: Array, key: Key | None = None) -> tuple[Tree, Array]:
        obs, units = seen
        begins = first.reshape(-1)[::num_agents]
        values = [
            critic.step(jax.tree.map(lambda x, i=i: x[i], params), (), one, begins)[1]
            for i, one in enumerate(joint(obs, *units))
        ]
        return carry, jnp.stack(values, 1).reshape(first.shape)

    def init(key: Key, seen: Any) -> Tree:
        obs, units = seen
        return _inits(critic.init, num_agents)(key, joint(obs, *units)[0])

    return Network(init, critic.begin, step, step)


def of_rows(buffer: Buffer, num_agents: int) -> Buffer:
    """A buffer of team steps [N, A] for who adds rows [N * A] and is dealt [B * A], those of a team side by side."""

    def whole(rollout: Rollout) -> Rollout:
        return Rollout(teams.split(rollout.steps, num_agents, 1), ())

    def sample(state: Tree, key: Key, discount: Array | float) -> Sample:
        dealt = buffer.sample(state, key, discount)
        return dealt._replace(items=teams.merge(dealt.items), weights=jnp.repeat(dealt.weights, num_agents))

    def update(state: Tree, indices: Array, priorities: Array) -> Tree:
        return buffer.update(state, indices, jnp.max(priorities.reshape(-1, num_agents), 1))

    return Buffer(
        lambda example: buffer.init(whole(example)), lambda state, rollout: buffer.add(state, whole(rollout)), sample,
        update, buffer.ready,
    )  # fmt: skip


def _inits(init: Callable[..., Tree], num_agents: int) -> Callable[..., Tree]:
    return lambda key, obs: jax.vmap(init, (0, None))(jax.random.split(key, num_agents), obs)
