"""DDS that keeps to this machine, unless somebody says otherwise.

By itself DDS looks for others on every network and listens on every interface, and nobody has to
prove who he is: anyone near could send targets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

RANGE, PROFILE = "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_DEFAULT_PROFILES_FILE"
_PROFILE_FILE = Path(__file__).with_name("local_dds.xml")


def local_settings(present: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment so that ROS keeps to this machine.

    Args:
        present: the environment. Whoever sets the range of discovery, for instance to SUBNET, has
            decided: nothing is added then but for LOCALHOST.
    """
    if present.get(RANGE, "LOCALHOST") != "LOCALHOST":
        return {}
    wanted = {RANGE: "LOCALHOST", PROFILE: str(_PROFILE_FILE)}
    return {name: value for name, value in wanted.items() if name not in present}


def keep_local() -> None:
    """Do so for this process; call it before ROS starts."""
    os.environ.update(local_settings(os.environ))
