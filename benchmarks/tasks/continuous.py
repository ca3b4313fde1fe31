"""Learning tasks of deterministic and soft actor-critics."""

from tasks.learning import LearningTask

ZOO = "RL Baselines3 Zoo"

TASKS = (
    LearningTask(
        "sac-pendulum-10k", "sac", "pendulum", 10_000, -165.0, "-157.0 at 20k (1 run)", ZOO, episodes=1000,
    ),
    LearningTask(
        "sac-pendulum-20k", "sac", "pendulum", 20_000, -155.0, "-157.0 at 20k (1 run)", ZOO, episodes=1000,
    ),
    LearningTask(
        "td3-pendulum-10k", "td3", "pendulum", 10_000, -165.0, "-151.9 at 20k (1 run)", ZOO, episodes=1000,
    ),
    LearningTask(
        "td3-pendulum-20k", "td3", "pendulum", 20_000, -155.0, "-151.9 at 20k (1 run)", ZOO, episodes=1000,
    ),
    LearningTask(
        "ddpg-pendulum-15k", "ddpg", "pendulum", 15_000, -165.0, "-160 in 10k to 20k", "RLlib's tuned examples",
        episodes=1000,
    ),
    LearningTask(
        "sac-mountain-car-continuous-25k", "sac", "mountain_car_continuous", 25_000, 93.0, "94.7 at 50k (1 run)", ZOO,
        judged="every seed",
    ),
    LearningTask(
        "td3-mountain-car-continuous-50k", "td3", "mountain_car_continuous", 50_000, 93.0, "93.5 at 300k (1 run)", ZOO,
        judged="every seed",
    ),
    LearningTask(
        "ddpg-mountain-car-continuous-50k", "ddpg", "mountain_car_continuous", 50_000, 93.0, "93.5 at 300k (1 run)",
        ZOO, judged="every seed",
    ),
    LearningTask(
        "sac-discrete-cartpole-50k", "sac_discrete", "cartpole", 50_000, 480.0, "none: our target", "as DQN's",
    ),
)  # fmt: skip
