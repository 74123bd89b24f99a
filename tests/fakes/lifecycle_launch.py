"""Brings managed nodes through their lives by ROS's own launch; prints each state they come to."""

import sys
from pathlib import Path

from launch import LaunchDescription, LaunchService
from launch.actions import EmitEvent, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

ROUND = (
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
)
PRIMARY = ("unconfigured", "inactive", "active", "finalized")
LIVES = {
    "policy_node": [*ROUND, *ROUND, *ROUND[:2], Transition.TRANSITION_ACTIVE_SHUTDOWN],
    "sim_node": [*ROUND, *ROUND, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN],
}
COMMANDS = {
    "policy_node": [str(Path(__file__).with_name("circling_node.py"))],
    "sim_node": ["-m", "df_policy.ros_nodes.sim_node"],
}


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Life:
    """One node, and what is left of its life."""

    alive = len(LIVES)

    def __init__(self, name):
        self.name, self.left = name, list(LIVES[name])
        self.node = LifecycleNode(
            executable=sys.executable,
            arguments=COMMANDS[name],
            name=name,
            namespace="",
            parameters=[{"autostart": False}],
            output="screen",
        )

    def entities(self):
        changed = OpaqueFunction(function=self.changed)
        ended = OpaqueFunction(function=self.ended)
        return [
            RegisterEventHandler(
                OnStateTransition(target_lifecycle_node=self.node, entities=[changed])
            ),
            RegisterEventHandler(OnProcessExit(target_action=self.node, on_exit=[ended])),
            self.node,
            *self.step(),
        ]

    def step(self):
        if not self.left:
            Life.alive -= 1
            return [] if Life.alive else [Shutdown(reason="all over")]
        wanted = ChangeState(
            lifecycle_node_matcher=matches_action(self.node), transition_id=self.left.pop(0)
        )
        return [EmitEvent(event=wanted)]

    def changed(self, context):
        state = context.locals.event.goal_state
        if state not in PRIMARY:
            return []
        say(f"{self.name} {state}")
        return self.step()

    def ended(self, context):
        say(f"{self.name} exit {context.locals.event.returncode}")


if __name__ == "__main__":
    service = LaunchService()
    entities = [entity for name in LIVES for entity in Life(name).entities()]
    service.include_launch_description(LaunchDescription(entities))
    sys.exit(service.run())
