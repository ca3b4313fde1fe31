"""The worlds of the family by their names."""

from collections.abc import Callable

from jaxrl.envs.minigrid.crossing import lava_crossing, simple_crossing
from jaxrl.envs.minigrid.door_key import door_key
from jaxrl.envs.minigrid.dynamic_obstacles import dynamic_obstacles
from jaxrl.envs.minigrid.empty import empty
from jaxrl.envs.minigrid.four_rooms import four_rooms
from jaxrl.envs.minigrid.go_to_door import go_to_door
from jaxrl.envs.minigrid.key_corridor import key_corridor
from jaxrl.envs.minigrid.lava_gap import lava_gap
from jaxrl.envs.minigrid.memory import memory
from jaxrl.envs.minigrid.multi_room import multi_room
from jaxrl.envs.minigrid.red_blue_doors import red_blue_doors
from jaxrl.envs.minigrid.unlock import unlock, unlock_pickup
from jaxrl.types import Environment

WORLDS: dict[str, Callable[..., Environment]] = {
    "minigrid_door_key": door_key,
    "minigrid_dynamic_obstacles": dynamic_obstacles,
    "minigrid_empty": empty,
    "minigrid_four_rooms": four_rooms,
    "minigrid_go_to_door": go_to_door,
    "minigrid_key_corridor": key_corridor,
    "minigrid_lava_crossing": lava_crossing,
    "minigrid_lava_gap": lava_gap,
    "minigrid_memory": memory,
    "minigrid_multi_room": multi_room,
    "minigrid_red_blue_doors": red_blue_doors,
    "minigrid_simple_crossing": simple_crossing,
    "minigrid_unlock": unlock,
    "minigrid_unlock_pickup": unlock_pickup,
}
