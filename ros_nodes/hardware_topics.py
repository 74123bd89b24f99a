"""The services of real robots, beside those of `topics.py`."""

from __future__ import annotations

from df_policy.ros_nodes.topics import Service

RECOVER = Service(
    "robot/recover",
    "franka_node",
    "leave a reflex, a released user stop or a lost connection; nothing moves by this alone",
)
HOME = Service("robot/home", "franka_node", "go to the start posture, slowly; only while idle")
REFLEX = Service("sim/reflex", "franka_sim_node", "have the robot stop as if it had hit something")
USER_STOP = Service("sim/user_stop", "franka_sim_node", "press the robot's stop, or release it")

SERVICES = (RECOVER, HOME, REFLEX, USER_STOP)


def markdown() -> str:
    """The table as the README shows it."""
    lines = ["| service (std_srvs/srv/Trigger) | server | meaning |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.server} | {row.meaning} |" for row in SERVICES]
    return "\n".join(lines)
