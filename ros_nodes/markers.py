"""Limits and costs as RViz and Foxglove draw them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from df_policy.costs import Cost, KeepOutBox, KeepOutCylinder, SpeedLimit
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.topics import FRAME

_LINE_M, _GOAL_M, _THIN_M = 0.003, 0.03, 0.001
_LIMIT = (0.2, 0.6, 1.0, 0.8)
_ZONE = (1.0, 0.2, 0.1, 0.35)
_GOAL = (0.2, 0.9, 0.3, 0.6)
"""Red, green, blue, opacity."""


def limits_message(spec: RobotSpec, costs: Sequence[Cost]) -> MarkerArray:
    """The edges of the workspace, the zones that costs keep out of, and where they draw the tool.

    Whoever shows it forgets what was drawn before.
    """
    drawn = [
        _workspace(spec),
        *(_cost(cost) for cost in costs if not isinstance(cost, SpeedLimit)),
    ]
    for number, marker in enumerate(drawn):
        marker.id = number
        marker.header.frame_id = FRAME
        marker.pose.orientation.w = 1.0
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL), *drawn])


def _workspace(spec: RobotSpec) -> Marker:
    corners = list(itertools.product(*zip(*spec.workspace_m, strict=True)))
    edges = [
        (one, other)
        for one, other in itertools.combinations(corners, 2)
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1
    ]
    marker = Marker(ns="workspace", type=Marker.LINE_LIST, color=_color(_LIMIT))
    marker.scale.x = _LINE_M
    marker.points = [Point(x=x, y=y, z=z) for edge in edges for x, y, z in edge]
    return marker


def _cost(cost: Cost) -> Marker:
    if isinstance(cost, KeepOutBox):
        whole = [2.0 * half for half in cost.half_m]
        return _solid("keep_out", Marker.CUBE, cost.center_m, whole, _ZONE)
    if isinstance(cost, KeepOutCylinder):
        top_m = max(cost.top_m, _THIN_M)
        center, size = (*cost.center_m, 0.5 * top_m), (2 * cost.radius_m, 2 * cost.radius_m, top_m)
        return _solid("keep_out", Marker.CYLINDER, center, size, _ZONE)
    assert not isinstance(cost, SpeedLimit)
    return _solid("reach", Marker.SPHERE, cost.point_m, (_GOAL_M,) * 3, _GOAL)


def _solid(
    name: str,
    kind: int,
    center: Sequence[float],
    size: Sequence[float],
    color: tuple[float, float, float, float],
) -> Marker:
    marker = Marker(ns=name, type=kind, color=_color(color))
    x, y, z = center
    marker.pose.position = Point(x=x, y=y, z=z)
    x, y, z = size
    marker.scale = Vector3(x=x, y=y, z=z)
    return marker


def _color(color: tuple[float, float, float, float]) -> ColorRGBA:
    r, g, b, a = color
    return ColorRGBA(r=r, g=g, b=b, a=a)
