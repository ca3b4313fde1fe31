"""Several agents in one world, whose observations, actions and rewards are [N, A]: how they share, or do not share.

An agent of one actor plays in a world of A of them by one of these wrappers, all of which act on [N, A] themselves, so
that training, evaluation and everything else that takes an agent takes a team:

share_parameters   one agent plays all actors: they are rows of its batch (parameter sharing: IPPO is PPO, unchanged)
independent        A copies of an agent side by side, each with a state of its own that learns from its actor alone
groups             different agents, each for some of the actors and each in one of the two ways above
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents import rollouts
from jaxrl.errors import UsageError, at_least, unknown
from jaxrl.spaces import Box
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Environment, Key, Observation, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    learning: str = "shared"  # one set of parameters for all agents, or "independent" ones
    identity: bool = False  # those who share see their number, one-hot


class Group(NamedTuple):
    """Some of the actors of a world, and the agent that plays them."""

    agent: Agent  # of a team of as many actors: `share_parameters` or `independent`
    actors: tuple[int, ...]  # their places among the A of the world
    num_features: int | None = None  # the first of an observation's features are theirs, the others padding
    num_actions: int | None = None  # the first of the world's actions (or entries of a Box) are theirs
    frozen: bool = False  # plays, but does not learn


def of(agent: Agent, env: Environment, config: Config, central: bool = False) -> Agent:
    """The team that a configuration asks for, in a world of several agents; a central agent reads obs.state."""
    num_agents = env.num_agents or 1
    vectors = isinstance(env.observation_space, Box) and len(env.observation_space.shape) == 1
    if (config.identity or central) and not vectors:
        raise UsageError(f"a team that knows who is who needs vectors of features, not {env.observation_space}")
    if config.learning == "shared":
        team = share_parameters(agent, num_agents, config.identity)
    elif config.learning == "independent" and not config.identity:
        team = independent(agent, num_agents)
    elif config.learning == "independent":
        raise UsageError("identity is on, but independent agents are who they are: turn it off")
    else:
        raise unknown("learning of a team", config.learning, ("shared", "independent"))
    return seeing(team, with_state) if central else team


def per_actor(config: Any, team: Config, num_agents: int) -> Any:
    """An agent's config whose numbers, which are of environment steps, count the steps of all actors that it plays."""
    if team.learning != "shared":
        return config
    rates = {"gradient_steps": 1 / num_agents, "epsilon_steps": num_agents, "buffer_size": num_agents}
    return config._replace(**{name: getattr(config, name) * by for name, by in rates.items() if name in config._fields})


def merge(tree: Tree, axis: int = 0) -> Tree:
    """Leaves [..., N, A, ...] -> [..., N * A, ...], with N at an axis."""
    return jax.tree.map(lambda x: x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :]), tree)


def split(tree: Tree, num_agents: int, axis: int = 0) -> Tree:
    """The inverse of `merge`."""
    return jax.tree.map(lambda x: x.reshape(*x.shape[:axis], -1, num_agents, *x.shape[axis + 1 :]), tree)


def rows(obs: Observation, identity: bool, axis: int = 0) -> Observation:
    """obs [..., N, A, ...] as a network of one agent sees them: [..., N * A, ...], without the state of the world."""
    return merge((with_identity(obs) if identity else obs)._replace(state=None), axis)


def row_steps(steps: Transition, identity: bool) -> Transition:
    """Steps [T, N, A, ...] as those of N * A rows."""
    obs, next_obs = (rows(obs, identity, 1) for obs in (steps.obs, steps.next_obs))
    return merge(steps, 1)._replace(obs=obs, next_obs=next_obs)


def world(obs: Observation) -> Array:
    """The world's state [..., s] as a team knows it: what the world tells of it, else all features.

    All agents are told the same, and who has terminated, in steps that are learnt from, zeros.
    """
    if obs.state is None:
        return obs.features.reshape(*obs.features.shape[:-2], -1)
    told = jnp.argmax(jnp.any(obs.state != 0, -1), -1)  # the first who is told something
    return jnp.take_along_axis(obs.state, told[..., None, None], -2)[..., 0, :]


def with_identity(obs: Observation) -> Observation:
    """obs [..., A] with an actor's number, one-hot, behind its features [..., A, d]."""
    who = jnp.broadcast_to(jnp.eye(obs.features.shape[-2]), (*obs.features.shape[:-1], obs.features.shape[-2]))
    return obs._replace(features=jnp.concatenate([obs.features, who.astype(obs.features.dtype)], -1))


def with_state(obs: Observation) -> Observation:
    """obs [..., A] whose state [..., A, s] is the world's, else all features, with the actor's number, one-hot."""
    state = world(obs)[..., None, :]
    state = jnp.broadcast_to(state, (*obs.features.shape[:-1], state.shape[-1]))
    return obs._replace(state=with_identity(Observation(state)).features)


def seeing(agent: Agent, see: Callable[[Observation], Observation]) -> Agent:
    """The agent for whom observations are see(obs)."""

    def look(timestep: Timestep) -> Timestep:
        return timestep._replace(obs=see(timestep.obs), final_obs=see(timestep.final_obs))

    def init(key: Key, timestep: Timestep) -> Any:
        return agent.init(key, look(timestep))

    def act(state: Any, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        return agent.act(state, key, carry, look(timestep), explore)

    def learn(state: Any, key: Key, rollout: Rollout) -> tuple[Any, dict[str, Mean]]:
        steps = rollouts.blank_invalid(rollout.steps)  # before one agent sees what another one, who is dead, did
        steps = steps._replace(obs=see(steps.obs), next_obs=see(steps.next_obs))
        return agent.learn(state, key, rollout._replace(steps=steps))

    return Agent(init, agent.begin, act, learn)


def share_parameters(agent: Agent, num_agents: int, identity: bool = False) -> Agent:
    """The agent over N * A rows. With `identity` an actor's number, one-hot, stands behind its features [..., d]."""
    at_least("num_agents", num_agents, 1)

    def init(key: Key, timestep: Timestep) -> Any:
        return agent.init(key, merge(timestep._replace(info={})))

    def act(state: Any, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        action, carry, extras = agent.act(state, key, carry, merge(timestep._replace(info={})), explore)
        return split(action, num_agents), carry, split(extras, num_agents)

    def learn(state: Any, key: Key, rollout: Rollout) -> tuple[Any, dict[str, Mean]]:
        return agent.learn(state, key, rollout._replace(steps=merge(rollout.steps, 1)))

    team = Agent(init, agent.begin, act, learn)
    return seeing(team, with_identity) if identity else team


def independent(agent: Agent, num_agents: int) -> Agent:
    """A agents of one kind: a state [A, ...], whose part i acts for and learns from actor i alone.

    Each of them draws from its own part of a split key. Metrics are means over the agents.
    """
    at_least("num_agents", num_agents, 1)

    def init(key: Key, timestep: Timestep) -> Any:
        return jax.vmap(agent.init, (0, 1))(jax.random.split(key, num_agents), timestep._replace(info={}))

    def begin(num_rows: int) -> Tree:
        one = agent.begin(num_rows // num_agents)
        return jax.tree.map(lambda x: jnp.repeat(x[:, None], num_agents, 1), one)

    def act(state: Any, key: Key, carry: Tree, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        each = jax.vmap(lambda *args: agent.act(*args, explore), (0, 0, 1, 1), 1)
        return each(state, jax.random.split(key, num_agents), carry, timestep._replace(info={}))

    def learn(state: Any, key: Key, rollout: Rollout) -> tuple[Any, dict[str, Mean]]:
        each = jax.vmap(agent.learn, (0, 0, Rollout(steps=2, carry=1)))  # type: ignore[arg-type]
        state, metrics = each(state, jax.random.split(key, num_agents), rollout)
        return state, {name: Mean(mean.total.sum(0), mean.count.sum(0)) for name, mean in metrics.items()}

    return Agent(init, begin, act, learn)


def groups(parts: Sequence[Group], num_agents: int) -> Agent:
    """Agents that share a world: each group sees, plays and learns from its own actors, whom no other group has.

    The state is that of each group, in order; the metrics of group i are named `name_i`.
    """
    _check(parts, num_agents)
    back = np.argsort([actor for part in parts for actor in part.actors])  # from the groups' order to the world's

    def theirs(part: Group, tree: Tree, axis: int) -> Tree:
        return jax.tree.map(lambda x: jnp.take(x, np.array(part.actors), axis), tree)

    def cut(part: Group, obs: Observation) -> Observation:
        features = jax.tree.map(lambda x: x[..., : part.num_features], obs.features)
        return obs._replace(features=features, legal=None if obs.legal is None else obs.legal[..., : part.num_actions])

    def look(part: Group, timestep: Timestep) -> Timestep:
        own = theirs(part, timestep._replace(info={}), 1)
        return own._replace(obs=cut(part, own.obs), final_obs=cut(part, own.final_obs))

    def init(key: Key, timestep: Timestep) -> tuple[Any, ...]:
        keys = jax.random.split(key, len(parts))
        return tuple(part.agent.init(k, look(part, timestep)) for part, k in zip(parts, keys, strict=True))

    def begin(num_rows: int) -> tuple[Tree, ...]:
        return tuple(part.agent.begin(num_rows // num_agents * len(part.actors)) for part in parts)

    def act(state: Any, key: Key, carry: Any, timestep: Timestep, explore: bool = True) -> tuple[Tree, Tree, Any]:
        keys = jax.random.split(key, len(parts))
        told = [
            part.agent.act(s, k, c, look(part, timestep), explore)
            for part, s, k, c in zip(parts, state, keys, carry, strict=True)
        ]
        actions, carries, extras = zip(*told, strict=True)
        return _join(actions)[:, back], carries, extras

    def learn(state: Any, key: Key, rollout: Rollout) -> tuple[Any, dict[str, Mean]]:
        after, keys, steps = list(state), jax.random.split(key, len(parts)), rollout.steps
        told: dict[str, Mean] = {}
        for i, part in enumerate(parts):
            if part.frozen:
                continue
            own = theirs(part, steps._replace(extras=()), 2)._replace(extras=steps.extras[i])
            seen = own._replace(
                obs=cut(part, own.obs), next_obs=cut(part, own.next_obs), action=_part(own.action, part)
            )
            after[i], metrics = part.agent.learn(state[i], keys[i], Rollout(seen, rollout.carry[i]))
            told |= {f"{name}_{i}": value for name, value in metrics.items()}
        return tuple(after), told

    return Agent(init, begin, act, learn)


def _join(actions: Sequence[Array]) -> Array:
    """The actions [N, a_i, ...] of all groups, side by side; shorter ones are filled up with zeros."""
    if actions[0].ndim == 2:
        return jnp.concatenate(actions, 1)
    width = max(x.shape[-1] for x in actions)
    return jnp.concatenate([jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[-1]))) for x in actions], 1)


def _part(action: Array, part: Group) -> Array:
    """What an agent chose itself of the actions [T, N, a, ...] of its group."""
    return action if action.ndim == 3 else action[..., : part.num_actions]


def _check(parts: Sequence[Group], num_agents: int) -> None:
    actors = sorted(actor for part in parts for actor in part.actors)
    if actors != list(range(num_agents)):
        raise UsageError(
            f"the groups have the actors {actors}: expected each of 0 to {num_agents - 1} in exactly one of them"
        )
