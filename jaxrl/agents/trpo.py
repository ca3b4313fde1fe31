"""Trust region policy optimisation (Schulman et al. 2015) for discrete, continuous, masked and recurrent policies.

L(p)   = E[pi_p(a_t | o_t) / pi_old(a_t | o_t) A_t],  A_t generalised advantages    D(p) = E[KL(pi_old || pi_p)]
F x    = d/dh grad D(old + h x) + damping x        (Fisher-vector product, at h = 0)
x      = F^-1 grad L(old)                          (conjugate gradient, cg_steps)
step   = sqrt(2 kl_target / x F x) x
policy <- old + s step for the first s of 1, shrink, shrink^2, ... with D <= kl_target and L better than before
value  <- value - learning_rate * Adam(clip(grad E[(V - G)^2] / 2)), over epochs of minibatches

Policy and value have parameters apart, also of a memory: fitting the value must not move the policy.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl import distributions, losses, trees
from jaxrl.agents import on_policy
from jaxrl.agents.normalisers import Normalisers, normalise, running
from jaxrl.agents.on_policy import Both
from jaxrl.statistics import Mean
from jaxrl.types import Agent, Array, Key, Network, Observation, Rollout, Timestep, Transition, Tree


class Config(NamedTuple):
    cg_steps: int = 15
    search_steps: int = 10  # step sizes that are tried
    num_epochs: int = 10  # of the value
    num_minibatches: int = 16
    chunk_length: int = 1  # L: steps that a recurrent value is trained through; 1 shuffles single steps
    normalise_observations: bool = False
    normalise_rewards: bool = False
    kl_target: float = 0.01
    damping: float = 0.1
    shrink: float = 0.8
    learning_rate: float = 1e-3  # of the value
    total_updates: float = math.inf  # the learning rate falls linearly to 0 over them
    discount: float = 0.99
    trace_decay: float = 0.95
    max_gradient_norm: float = math.inf  # of the value


class State(NamedTuple):
    params: Both
    optimiser: optax.OptState  # of the value
    config: Config
    gradient_steps: Array  # int32
    normalisers: Normalisers


class Item(NamedTuple):
    """What a minibatch holds of a step to fit the value: leaves [L, B, ...]."""

    obs: Observation
    first: Array
    target: Array
    weight: Array


def conjugate_gradient(product: Callable[[Array], Array], b: Array, num_steps: int) -> Array:
    """x [P] with product(x) = b [P], for a positive definite product, after a number of steps from x = 0."""

    def step(_: int, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        x, rest, way, size = state
        moved = product(way)
        length = size / jnp.maximum(way @ moved, 1e-20)
        x, rest = x + length * way, rest - length * moved
        now = rest @ rest
        return x, rest, rest + now / jnp.maximum(size, 1e-20) * way, now

    return jax.lax.fori_loop(0, num_steps, step, (jnp.zeros_like(b), b, b, b @ b))[0]


def fisher_product(divergence: Callable[[Array], Array], at: Array, damping: Array | float) -> Callable[..., Array]:
    """x [P] -> (H + damping) x, with H the Hessian of a divergence, which is least at `at` [P]: Fisher's matrix."""
    return lambda x: jax.jvp(jax.grad(divergence), (at,), (x,))[1] + damping * x


def trust_region_step(
    measure: Callable[[Array], tuple[Array, Array]], old: Array, hyper: Config, config: Config
) -> tuple[Array, dict[str, Array]]:
    """The parameters [P] after a step from `old`, which they stay where no step is found; and metrics.

    measure: parameters [P] -> (the objective, the mean KL divergence from the policy at `old`).
    """
    before, gradient = jax.value_and_grad(lambda p: measure(p)[0])(old)
    product = fisher_product(lambda p: measure(p)[1], old, hyper.damping)
    x = conjugate_gradient(product, gradient, config.cg_steps)
    step = x * jnp.sqrt(2 * hyper.kl_target / jnp.maximum(x @ product(x), 1e-20))

    def refused(found: tuple[Array, Array, Array]) -> Array:
        _, objective, kl = found
        return ~((objective > before) & (kl <= hyper.kl_target))

    def search(tried: tuple[Array, Any]) -> tuple[Array, Any]:
        share = hyper.shrink ** tried[0].astype(jnp.float32)
        return tried[0] + 1, (share, *measure(old + share * step))

    none = (jnp.zeros(()), before, jnp.zeros(()))
    _, found = jax.lax.while_loop(
        lambda tried: refused(tried[1]) & (tried[0] < config.search_steps), search, (jnp.zeros((), jnp.int32), none)
    )
    share, objective, kl = (jnp.where(refused(found), *each) for each in zip(none, found, strict=True))
    new = jnp.where(share > 0, old + share * step, old)
    return new, {"improvement": objective - before, "kl": kl, "step_share": share}


def trpo(
    network: Network,
    action_space: Any,
    config: Config = Config(),
    direction: optax.GradientTransformation = optax.scale_by_adam(eps=1e-5),
) -> Agent:
    """TRPO over an actor-critic network, whose out is (policy outputs, value): one copy is read for each of them."""
    distribution = distributions.head(action_space).distribution
    act_by = on_policy.acting(network, distribution)

    def init(key: Key, timestep: Timestep) -> State:
        actor_key, critic_key = jax.random.split(key)
        params = Both(network.init(actor_key, timestep.obs), network.init(critic_key, timestep.obs))
        normalisers = running(timestep, config.normalise_observations, config.normalise_rewards)
        optimiser = direction.init(trees.ravel(params.critic)[0])
        return State(params, optimiser, trees.traced(config), jnp.zeros((), jnp.int32), normalisers)

    def act(state: State, key: Key, carry: Both, timestep: Timestep, explore: bool = True) -> tuple[Tree, Both, Any]:
        action, after, extras = act_by(state._replace(params=state.params.actor), key, carry.actor, timestep, explore)
        obs = normalise(state.normalisers, timestep.obs)
        return action, Both(after, network.step(state.params.critic, carry.critic, obs, timestep.first)[0]), extras

    def improve(state: State, carry: Tree, steps: Transition, advantages: Array) -> tuple[Tree, dict[str, Array]]:
        """The actor's parameters after its step, on a whole rollout."""
        weight = steps.valid.astype(jnp.float32)
        advantages = losses.standardise(advantages, weight)
        old, restore = trees.ravel(state.params.actor)

        def policy_of(params: Array) -> Any:
            _, (outputs, _) = network.unroll(restore(params), carry, steps.obs, steps.first)
            return distribution(outputs, steps.obs.legal)

        fixed = jax.lax.stop_gradient(policy_of(old))

        def measure(params: Array) -> tuple[Array, Array]:
            policy = policy_of(params)
            ratio = jnp.exp(policy.log_prob(steps.action) - steps.extras["log_prob"])
            return losses.mean(ratio * advantages, weight), losses.mean(fixed.kl_divergence(policy), weight)

        params, metrics = trust_region_step(measure, old, state.config, config)
        return restore(params), metrics | {"entropy": losses.mean(fixed.entropy(), weight)}

    def value_loss(params: Tree, hyper: Config, carry: Tree, items: Item) -> tuple[Array, dict[str, Array]]:
        _, (_, value) = network.unroll(params, carry, items.obs, items.first)
        error = losses.mean(0.5 * (value - items.target) ** 2, items.weight)
        return error, {"value_loss": error}

    def learn(state: State, key: Key, rollout: Rollout) -> tuple[State, dict[str, Mean]]:
        steps, seen = on_policy.read(state, rollout)
        before, (_, values), (_, next_values) = on_policy.look(network, state.params.critic, rollout.carry.critic, seen)
        advantages, targets, normalisers = on_policy.advantages(
            state, steps, values, next_values, state.config.trace_decay
        )
        params, measured = improve(state, rollout.carry.actor, seen, advantages)
        items = Item(seen.obs, steps.first, targets, steps.valid.astype(jnp.float32))
        batch = on_policy.chunks(before, items, config.chunk_length)
        fitted, metrics = on_policy.descend(
            key, value_loss, batch, state._replace(params=state.params.critic), config, direction
        )
        state = fitted._replace(params=Both(params, fitted.params), normalisers=normalisers)
        return state, metrics | {name: Mean.of(x) for name, x in measured.items()}

    return Agent(init, lambda n: Both(network.begin(n), network.begin(n)), act, learn)
