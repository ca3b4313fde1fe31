"""The projects that jaxrl is timed against."""

from tasks.speed import Peer

NOTE = "evaluation and callbacks off; seeds under vmap; gradients are clipped by element, episodes cut as if they ended"
PEERS = {"rejax": Peer("Rejax", "peers/rejax.txt", "peers/rejax_worker.py", NOTE)}
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
