"""What a program asks of JAX before its first array: the compilation cache, one device per core, compile times."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax


def use_compilation_cache() -> None:
    """Keep compiled programs on the disk, so that a second start of the same command need not compile again.

    JAX's own setting (JAX_COMPILATION_CACHE_DIR, or the config option of that name) goes first.
    """
    config: Any = jax.config
    if not config.jax_compilation_cache_dir:
        config.update("jax_compilation_cache_dir", str(cache_folder()))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def cache_folder() -> Path:
    """The folder for compiled programs in the user's cache folder."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "jaxrl" / "compiled"


def use_cores(num_seeds: int) -> None:
    """Let the CPU stand for several devices, so that each core trains its share of the seeds.

    Too late once a backend runs, and not ours to change where XLA_FLAGS says how many devices there are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = max(count for count in range(1, min(cores, num_seeds) + 1) if num_seeds % count == 0)
    if shares == 1 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", shares)
    except RuntimeError:
        pass


SMALL = 4096  # steps of an update below which its operations are small, with the networks of such environments
KNOWN = ("acrobot", "cartpole", "pendulum", "t_maze", "frozen_lake", "cliff_walking", "taxi", "gridworld")


def suit_small_updates(environment: str, steps_per_update: int, num_seeds: int, hidden: tuple[int, ...]) -> None:
    """Set up XLA's CPU backend for updates of many small operations, in a process that trains one known environment.

    The compiler may compute several results in one operation: PPO on 5 x 100 steps runs 1.25 times as fast with it and
    compiles in two thirds of the time (large updates lose what the two cores do at once). But the pass is young and
    ends the process on some programs (MinAtar's Breakout is one), so it is only for environments and versions of JAX
    that were tried with it, and never for a library call in somebody's process.

    One thread runs the training of one seed: handing an operation of some microseconds to a second one takes longer
    than it saves. DQN on CartPole runs 1.47 times as fast, SAC on Pendulum 1.38, TD3 1.21 and PPO on 5 x 100 steps 1.12
    times. Large updates lose (PPO on 64 x 128: a sixth), and so do convolutions; layers of 256 units still gain.

    Neither has an effect after a backend has started. XLA_FLAGS that set such options themselves, and NPROC, by which
    XLA is told how many threads there are, stay as they are.
    """
    if environment not in KNOWN or steps_per_update >= SMALL:
        return
    flags = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] == (0, 10) and "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true".strip()
    if num_seeds == 1 and max(hidden, default=0) <= 256:
        os.environ.setdefault("NPROC", "1")


def freeze_imports() -> None:
    """Take what has been imported so far out of the garbage collector's rounds: a tenth of the time of a trace.

    For a process whose modules live as long as it does: a command of ours, never a library call.
    """
    gc.collect()
    gc.freeze()


def jit_once(function: Callable[..., Any]) -> Any:
    """`jax.jit` for a program that runs once, such as an initialiser: XLA's CPU compiler spends less time on it.

    Its results may differ from those of an optimised program in the last bit.
    """
    quick: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    if jax.__version_info__[:2] == (0, 10):  # the option is gone from later versions
        quick["xla_cpu_use_fusion_emitters"] = False
    return jax.jit(function, compiler_options=quick if jax.default_backend() == "cpu" else None)


class CompileClock:
    """Seconds that XLA spent on compilation (or on reading its cache) since the clock was made."""

    _seconds = 0.0
    _listening = False

    def __init__(self) -> None:
        if not CompileClock._listening:
            CompileClock._listening = True
            jax.monitoring.register_event_duration_secs_listener(CompileClock._listen)
        self.start = CompileClock._seconds

    @staticmethod
    def _listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("/backend_compile_duration"):
            CompileClock._seconds += duration_secs

    def seconds(self) -> float:
        return CompileClock._seconds - self.start
