"""A robot that keeps the clock, follows commands, and holds each of them against every limit."""

import time

import numpy as np
import rclpy
from circling_node import HOME, SPEC
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from scipy.spatial.transform import Rotation

from df_policy.align import JointReading
from df_policy.geometry import Pose
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.health import Level

TICK_NS = 20_000_000
STILL_M = 1e-7
RECOVER_S = 60.0
SILENT_S = 0.5
LOST_S = 10.0
"""After so long without it an answer is lost."""


class Watch:
    """Holds every command against every limit."""

    def __init__(self):
        self.count, self.violations = 0, []
        self.heard_s = 0.0
        self.last, self.v, self.w, self.opening = None, None, None, 0.08
        self.track: list[tuple[int, float]] = []
        """Stamp and step [m] of each command."""

    def gripper(self, message):
        self.opening = message.data[0] if len(message.data) == 1 else float("nan")

    def pose(self, message):
        self.heard_s = time.monotonic()
        self.count += 1
        point, quat = message.pose.position, message.pose.orientation
        stamp = convert.stamp_of(message.header.stamp)
        position = np.array([point.x, point.y, point.z])
        turned = np.array([quat.x, quat.y, quat.z, quat.w])
        low, high = map(np.array, SPEC.workspace_m)
        self._need(np.isfinite([*position, *turned, self.opening]).all(), "not finite", stamp)
        self._need(abs(np.linalg.norm(turned) - 1.0) < 1e-6, "no rotation", stamp)
        self._need((position >= low).all() and (position <= high).all(), "outside", stamp)
        first, last = SPEC.gripper_range_m
        self._need(first <= self.opening <= last, "gripper", stamp)
        if self.last is not None:
            self._moved(stamp, position, turned)
        self.last = (stamp, position, turned)

    def _moved(self, stamp, position, turned):
        before, was, quat = self.last
        step = position - was
        turn = (Rotation.from_quat(turned) * Rotation.from_quat(quat).inv()).as_rotvec()
        dt = (stamp - before) * 1e-9
        self.track.append((stamp, float(np.linalg.norm(step)), float(np.linalg.norm(turn))))
        if dt <= 0.0:
            self._need(np.linalg.norm(step) < 1e-9, "moved in no time", stamp)
            self.v = self.w = None
            return
        # A command that this process missed makes the next step longer, not faster.
        self._need(np.linalg.norm(step) <= SPEC.max_speed_m_s * dt + 1e-9, "speed", stamp)
        self._need(np.linalg.norm(turn) <= SPEC.max_turn_rad_s * dt + 1e-9, "turn", stamp)
        if dt > 1.01e-9 * TICK_NS:
            self.v = self.w = None
            return
        v, w = step / dt, turn / dt
        if self.v is not None:
            most = SPEC.max_acceleration_m_s2 * dt + 1e-6
            self._need(np.linalg.norm(v - self.v) <= most, "acceleration", stamp)
            most = SPEC.max_turn_acceleration_rad_s2 * dt + 1e-5
            self._need(np.linalg.norm(w - self.w) <= most, "turn's acceleration", stamp)
        self.v, self.w = v, w

    def _need(self, holds, what, stamp):
        if not holds:
            self.violations.append(f"{what} at {stamp * 1e-9:.2f} s")

    @property
    def moving(self):
        """Whether the last commands differ."""
        return len(self.track) > 1 and max(self.track[-1][1:]) > STILL_M


class Robot(Node):
    """Follows commands with a lag, says where it is, keeps the clock; faults bend what it says."""

    def __init__(self, domain):
        self.ros = rclpy.Context()
        rclpy.init(context=self.ros, domain_id=domain)
        super().__init__("robot", context=self.ros)
        self.watch = Watch()
        self.now, self.at, self.target = 10**9, HOME.tool, HOME.tool
        self.dead, self.size, self.joints, self.repeat, self.old = set(), (8, 8), 0.0, 1, False
        self.answer, self.told, self.levels, self.callers = "", {}, {}, {}
        self.outputs = {
            topic: topics.publisher(self, topic)
            for topic in (topics.CLOCK, topics.JOINT_STATES, topics.CURRENT_POSE)
        }
        self.images = {
            camera: topics.publisher(self, topics.IMAGES, camera) for camera in SPEC.cameras
        }
        topics.subscribe(self, topics.TARGET_GRIPPER, self.watch.gripper)
        topics.subscribe(self, topics.TARGET_POSE, self._on_target)
        topics.subscribe(self, topics.DIAGNOSTICS, self._on_report)
        self.executor_ = SingleThreadedExecutor(context=self.ros)
        self.executor_.add_node(self)
        self.due_s = time.monotonic()
        self.meanwhile = lambda: None
        self.is_known = lambda _service: True
        """Whether the server of a service has found this caller, as far as can be told."""

    @property
    def stands(self):
        """Whether nobody moves it: the last two commands are one, or nobody sends any more.

        Of commands that come while this process is held up, the newest alone is kept: the last one
        before silence may differ from the one that was heard before it.
        """
        return not self.watch.moving or time.monotonic() - self.watch.heard_s > SILENT_S

    def _on_target(self, message):
        self.watch.pose(message)
        self.target = Pose.of(self.watch.last[1], self.watch.last[2])

    def _on_report(self, message):
        for name, (problem, _) in convert.diagnostics_from(message).items():
            self.told[name] = problem
        self.levels |= {status.name: Level(status.level[0]) for status in message.status}

    @property
    def reasons(self):
        """What the policy node last said of itself."""
        return self.told.get("policy_node", "")

    def tick(self, patience_s):
        """One tick: say all; wait for its time, and for the answer as long as `patience_s`."""
        self.now += TICK_NS
        self.at = self.at.towards(self.target, 0.3)
        reading = JointReading(np.full(2, self.joints), np.zeros(2), 0.08)
        for stamp in ([self.now] * self.repeat) + ([self.now - 5 * TICK_NS] if self.old else []):
            if "state" not in self.dead:
                self._say(topics.JOINT_STATES, convert.joint_message(stamp, reading, SPEC))
                self._say(topics.CURRENT_POSE, convert.pose_message(stamp, self.at))
            if self.now % SPEC.period_ns == 0:
                image = np.zeros((*self.size, 3), np.uint8)
                for camera in self.images.keys() - self.dead:
                    self.images[camera].publish(convert.image_message(stamp, image, camera))
        self._say(topics.CLOCK, convert.clock_message(self.now))
        self.due_s = max(self.due_s + 0.02, time.monotonic() - 0.1)
        late_s = self.due_s + patience_s
        for _ in range(8):  # also where time is short
            self.executor_.spin_once(timeout_sec=0.0)
            self.meanwhile()
        while (left := self.due_s - time.monotonic()) > 0.0 or (
            not self._answered() and time.monotonic() < late_s
        ):
            self.executor_.spin_once(timeout_sec=max(0.001, min(left, 0.02)))
            self.meanwhile()

    def _answered(self):
        return self.watch.last is not None and self.watch.last[0] >= self.now

    def _say(self, topic, message):
        self.outputs[topic].publish(message)

    def call(self, kind, name, request, timeout_s=60.0, patience_s=0.0, *, again=True):
        """The answer of a service, while time goes on; None if there is none.

        A server that has not found its caller yet drops the answer. So the first call waits until
        it has, where that can be told, and what may be asked twice is asked `again`.
        """
        if name not in self.callers:
            self.callers[name] = self.create_client(kind, name)
        client, asked, asked_s = self.callers[name], [], 0.0
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.tick(patience_s)
            answers = [future.result() for future in asked if future.done()]
            if answers:
                return answers[0]
            now_s = time.monotonic()
            due = again and now_s > asked_s + LOST_S if asked else self.is_known(name)
            if due and client.service_is_ready():
                asked.append(client.call_async(request))
                asked_s = now_s
        return None

    def trigger(self, service):
        """Call one of the node's own services."""
        return self.call(topics.TRIGGER, service.name, topics.TRIGGER.Request())

    def start(self, within_s=RECOVER_S):
        """Start the policy; whether it did."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            answer = self.trigger(topics.START)
            self.answer = "no answer" if answer is None else answer.message
            if answer is not None and answer.success:
                return True
        return False

    def close(self):
        self.executor_.shutdown()
        self.destroy_node()
        rclpy.shutdown(context=self.ros)
