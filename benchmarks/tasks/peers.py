"""The projects that jaxrl is timed against."""

from tasks.speed import Peer

NOTE = "evaluation and callbacks off; seeds under vmap; gradients are clipped by element, episodes cut as if they ended"
BASELINES = "peers/baselines_worker.py"
PEERS = {
    "rejax": Peer("Rejax", "peers/rejax.txt", "peers/rejax_worker.py", NOTE),
    "sb3": Peer("Stable-Baselines3", "peers/sb3.txt", BASELINES, "from the first step to the last, on one thread"),
    "sbx": Peer("SBX", "peers/sbx.txt", BASELINES, "from the first step to the last, compilation among them"),
}
FLASHBAX = Peer("flashbax", "peers/flashbax.txt", "peers/flashbax_worker.py", "a flat buffer: pairs of steps")
STEPPER = "peers/suites_worker.py"
SUITES = {
    "gymnax": Peer("gymnax", "peers/gymnax.txt", STEPPER, "its own step with auto-reset, under vmap"),
    "navix": Peer("Navix", "peers/navix.txt", STEPPER, "a reset is a step of its own; a view that walls do not block"),
    "xminigrid": Peer(
        "XLand-MiniGrid", "peers/xminigrid.txt", STEPPER,
        "GymAutoResetWrapper; two layers instead of three; a view that walls do not block",
    ),
    "jaxmarl": Peer("JaxMARL", "peers/jaxmarl.txt", STEPPER, "its own step with auto-reset, under vmap"),
}  # fmt: skip
