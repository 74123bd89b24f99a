"""The recorder over topics, on real ROS: the data holds what was sent, and what was lost."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node
from ros_bench import HOME, SPEC, FakeWorld, Ros

from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.frames import Action, Control
from df_policy.geometry import Pose
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.recorder_node import RecorderNode
from df_policy.ros_nodes.sim_node import SimNode
from df_policy.teleop.reading import Press
from df_policy.teleop.status import Stage

pytestmark = pytest.mark.ros

SERVICE = topics.RECORDER
PERIOD = SPEC.period_ns


def number(stamp_ns):
    """What each pixel of an image of that time is."""
    return stamp_ns // PERIOD % 251


class Numbered(FakeWorld):
    """A world whose pictures show their time."""

    def observe(self, cameras=True):
        seen = super().observe(cameras)
        images = {n: np.full_like(i, number(self.time_ns)) for n, i in seen.images.items()}
        return replace(seen, images=images)


class Lossy:
    """A camera's line that loses some of the images."""

    def __init__(self, line):
        self.line, self.count, self.sent, self.lost, self.cut = line, 0, [], [], False
        self.losing = frozenset()

    def publish(self, message):
        stamp_ns = convert.stamp_of(message.header.stamp)
        self.count += 1
        if self.cut or self.count in self.losing:
            self.lost.append(stamp_ns)
        else:
            self.sent.append(stamp_ns)
            self.line.publish(message)


class Rough:
    """A camera's line that loses images, holds them up, and whose stamps are not even.

    Each image shows its number, and `stamps` tells when that was: nothing else need be believed.
    """

    def __init__(self, line, seed):
        self.line, self.draw = line, np.random.default_rng(seed)
        self.stamps, self.lost, self.held, self.left = {}, [], [], 0

    def publish(self, message):
        number = len(self.stamps)
        even_ns = convert.stamp_of(message.header.stamp)
        self.stamps[number] = even_ns + int(self.draw.integers(-PERIOD // 5, PERIOD // 5))
        message.header.stamp = convert.time_of(self.stamps[number])
        message.data = bytes([number % 251]) * len(message.data)
        if self.left == 0 and self.draw.random() < 0.2:
            self.left, self.how = int(self.draw.integers(1, 4)), self.draw.choice(["lost", "held"])
        if self.left:
            self.left -= 1
            (self.lost if self.how == "lost" else self.held).append(
                number if self.how == "lost" else message
            )
            return
        for waiting in (*self.held, message):
            self.line.publish(waiting)
        self.held.clear()


class Led(FakeWorld):
    """A world whose arm somebody pushes, whatever it is told."""

    def advance(self, target):
        super().advance(target)
        height = [0.0, 0.0, 1e-9 * 0.02 * (self.time_ns % 10**10)]
        self.at = Action(Pose.of(HOME.tool.position_m + height, [1, 0, 0, 0]), 0.04)


class Driver(Node):
    """Tells the robot a target at each of its ticks: how far it has come tells the time."""

    def __init__(self, **overrides):
        super().__init__("driver", **overrides)
        self.told, self.silent = [], False
        self.gripper = topics.publisher(self, topics.TARGET_GRIPPER)
        self.pose = topics.publisher(self, topics.TARGET_POSE)
        topics.subscribe(self, topics.JOINT_STATES, self.drive, depth=50)

    def drive(self, message):
        if self.silent:
            return
        stamp_ns = convert.stamp_of(message.header.stamp)
        pose = Pose.of(HOME.tool.position_m + [0, 0, 1e-4 * len(self.told)], [1, 0, 0, 0])
        self.told.append((stamp_ns, Action(pose, 0.05)))
        self.gripper.publish(convert.gripper_message(0.05))
        self.pose.publish(convert.pose_message(stamp_ns, pose))


@pytest.fixture
def ros():
    made = Ros()
    yield made
    made.close()


@pytest.fixture
def scene(ros, tmp_path):
    """A simulated robot with a line that loses images, who drives it, and the recorder."""
    robot = tmp_path / "robot.json"
    robot.write_text(json.dumps(asdict(SPEC)))
    sim = ros.add(SimNode, lambda task: (Numbered(), {}), real_time_factor=2.0)
    line = Lossy(sim._images_out["front"][0])
    sim._images_out["front"] = (line, sim._images_out["front"][1])
    driver = ros.add(Driver)
    out = str(tmp_path / "a.zarr")
    recorder = ros.add(
        RecorderNode, out=out, robot=str(robot), task="tiny", use_sim_time=True, gather_s=0.5
    )
    ros.spin_until(lambda: len(driver.told) > 20 and len(line.sent) > 5)
    return line, driver, recorder, tmp_path / "a.zarr"


def call(ros, recorder, press):
    answer = ros.call(recorder, SERVICE[press])
    return answer.success, json.loads(answer.message)


def grow(ros, recorder, frames, timeout_s=30.0):
    ros.spin_until(lambda: recorder.recorder._frames >= frames, timeout_s)


def stored(ros, recorder, path, episodes):
    ros.spin_until(lambda: recorder.sink.kept == episodes, 30.0)
    assert verify(path).findings == ()
    return EpisodeStore.open(path)


def test_stamps_and_losses_in_the_data_are_those_of_the_line(ros, scene):
    line, driver, recorder, path = scene
    line.losing = frozenset({line.count + 6, line.count + 9, line.count + 15})
    assert call(ros, recorder, Press.START) == (
        True,
        {"said": "recording", "stage": "recording", "kept": 0, "asked": 0},
    )
    grow(ros, recorder, 20)
    call(ros, recorder, Press.FAILURE)
    recorder._on_note(topics.NOTE.message(data="front is loose"))
    done, said = call(ros, recorder, Press.KEEP)
    assert (done, said["stage"], said["asked"]) == (True, "ready", 1)
    store = stored(ros, recorder, path, 1)
    episode = store.episode(0)
    frames = int(store.lengths[0])
    assert said["said"] == f"kept {frames} frames"
    assert (episode.success, episode.note, episode.seed) == (False, "front is loose", -1)

    arrays = episode.arrays
    assert np.array_equal(arrays["stamp_ns"], np.arange(frames) * PERIOD)
    # The pictures say when they were taken: this finds the grid's origin without the recorder.
    origins = {
        stamp
        for stamp in (*line.sent, *line.lost)
        if number(stamp) == arrays["image_wrist"][0, 0, 0, 0]
    }
    (origin,) = origins
    for camera in SPEC.cameras:
        stamps = arrays[f"image_{camera}_stamp_ns"] + origin
        shown = arrays[f"image_{camera}"][:, 0, 0, 0]
        assert list(shown) == [number(stamp) for stamp in stamps]
    ticks = origin + arrays["stamp_ns"]
    newest = [max(stamp for stamp in line.sent if stamp <= tick) for tick in ticks]
    assert list(arrays["image_front_stamp_ns"] + origin) == newest
    assert np.array_equal(arrays["image_wrist_stamp_ns"] + origin, ticks)

    lost = [stamp for stamp in line.lost if origin < stamp <= newest[-1]]
    late = [stamp for stamp in line.lost if origin < stamp <= ticks[-1]]
    assert len(lost) == 3
    names = ("image_front", "image_wrist", "joints", "tool")
    assert dict(zip(names, store.about["dropped"][0], strict=True)) == {
        "image_front": len(lost),
        "image_wrist": 0,
        "joints": 0,
        "tool": 0,
    }
    assert list(store.about["late"][0]) == [0, len(late), 0, 0, 0]

    # The action of a frame is the newest target that was sent before the next tick.
    for row, tick in zip(arrays["action"], ticks, strict=True):
        wanted = [action for stamp, action in driver.told if stamp < tick + PERIOD][-1]
        assert np.allclose(row, wanted.row(), atol=1e-6)
    assert set(arrays["control"]) == {int(Control.DEVICE)}


def test_a_pause_leaves_no_gap_and_silence_is_nobodys(ros, scene):
    _, driver, recorder, path = scene
    call(ros, recorder, Press.START)
    grow(ros, recorder, 4)
    assert call(ros, recorder, Press.PAUSE)[1]["stage"] == "paused"
    frames = recorder.recorder._frames
    ros.spin_for(0.4)
    assert recorder.recorder._frames == frames
    driver.silent = True
    call(ros, recorder, Press.START)
    grow(ros, recorder, frames + 6)
    call(ros, recorder, Press.KEEP)
    arrays = stored(ros, recorder, path, 1).episode(0).arrays
    assert set(np.diff(arrays["stamp_ns"])) == {PERIOD}
    assert np.diff(arrays["received_ns"])[frames - 1] > 3 * PERIOD / 2
    assert arrays["arrivals"][frames, 0, 2] == -1, "what was lost in the pause nobody counted"
    assert arrays["control"][0] == Control.DEVICE
    assert arrays["control"][-1] == Control.NOBODY
    assert np.array_equal(arrays["action"][-1], arrays["action"][-2])


def test_a_camera_that_dies_ends_the_episode_and_what_was_before_can_be_kept(ros, scene):
    line, _, recorder, path = scene
    done, said = call(ros, recorder, Press.KEEP)
    assert not done
    assert "got none yet" in said["said"]
    call(ros, recorder, Press.START)
    grow(ros, recorder, 3)
    line.cut = True
    ros.spin_until(lambda: recorder.recorder.status.stage is Stage.PAUSED, 30.0)
    assert "camera/front" in recorder.recorder.status.problem
    done, said = call(ros, recorder, Press.START)
    assert not done
    assert "camera/front" in said["said"]
    assert call(ros, recorder, Press.KEEP)[0]
    line.cut = False
    ros.spin_until(lambda: line.count > 3 and line.sent[-1] > line.lost[-1] + 2 * PERIOD)
    assert call(ros, recorder, Press.START)[0]
    grow(ros, recorder, 2)
    assert call(ros, recorder, Press.DROP)[1]["stage"] == "ready"
    store = stored(ros, recorder, path, 1)
    assert store.about["dropped"][0, 0] == 0
    assert not list(path.glob("*.partial"))


def test_stalls_losses_and_jitter_never_mix_images_up(ros, tmp_path):
    """Two cameras of their own roughness, three episodes: each image under its stamp."""
    robot = tmp_path / "robot.json"
    robot.write_text(json.dumps(asdict(SPEC)))
    sim = ros.add(SimNode, lambda task: (FakeWorld(), {}), real_time_factor=3.0)
    lines = {}
    for number, (camera, (line, info)) in enumerate(sim._images_out.items()):
        lines[camera] = Rough(line, number)
        sim._images_out[camera] = (lines[camera], info)
    driver = ros.add(Driver)
    patience = {"gather_s": 1.0, "max_image_age_s": 0.7}
    about = {"out": str(tmp_path / "a.zarr"), "robot": str(robot), "task": "tiny"}
    recorder = ros.add(RecorderNode, use_sim_time=True, **about, **patience)
    ros.spin_until(lambda: len(driver.told) > 60 and min(map(len, map(_sent, lines.values()))) > 9)
    for episode in range(3):
        call(ros, recorder, Press.START)
        grow(ros, recorder, 25)
        call(ros, recorder, Press.DROP if episode == 1 else Press.KEEP)
    store = stored(ros, recorder, tmp_path / "a.zarr", 2)
    injected = 0
    for index in range(2):
        arrays = store.episode(index).arrays
        origin = None
        for place, (camera, line) in enumerate(lines.items()):
            shown = arrays[f"image_{camera}"]
            assert (shown == shown[:, :1, :1, :1]).all(), "one image is of one number"
            stamps = arrays[f"image_{camera}_stamp_ns"]
            known = [n for n in line.stamps if n not in line.lost]
            if origin is None:  # all frames of both cameras must agree on it
                first = [line.stamps[n] for n in known if n % 251 == shown[0, 0, 0, 0]]
                (origin,) = (stamp - int(stamps[0]) for stamp in first)
            ticks = origin + arrays["stamp_ns"]
            newest = [
                max((line.stamps[n], n) for n in known if line.stamps[n] <= t) for t in ticks
            ]
            assert stamps.tolist() == [stamp - origin for stamp, _ in newest]
            assert shown[:, 0, 0, 0].tolist() == [n % 251 for _, n in newest]
            lost = [n for n in line.lost if newest[0][1] < n < newest[-1][1]]
            assert store.about["dropped"][index, place] == len(lost)
            stale = sum(a == b for a, b in zip(newest[1:], newest, strict=False))
            assert store.about["late"][index, 1 + place] == stale
            injected += len(lost)
        assert store.about["dropped"][index, 2:].tolist() == [0, 0]
    assert injected > 5


def _sent(line):
    return [number for number in line.stamps if number not in line.lost]


def test_an_arm_that_is_led_by_hand_is_recorded_where_it_went(ros, tmp_path):
    robot = tmp_path / "robot.json"
    robot.write_text(json.dumps(asdict(SPEC)))
    ros.add(SimNode, lambda task: (Led(), {}), real_time_factor=2.0)
    about = {"out": str(tmp_path / "a.zarr"), "robot": str(robot), "operator": "guided"}
    recorder = ros.add(
        RecorderNode, use_sim_time=True, guided=True, task="tiny", gather_s=0.5, **about
    )
    ros.spin_until(lambda: call(ros, recorder, Press.START)[0])
    grow(ros, recorder, 12)
    assert call(ros, recorder, Press.KEEP)[0]
    call(ros, recorder, Press.START)
    grow(ros, recorder, 3)
    driver = ros.add(Driver)
    ros.spin_until(lambda: recorder.recorder.status.stage is Stage.PAUSED, 30.0)
    assert "somebody sends target_pose" in recorder.recorder.status.problem
    driver.silent = True
    recorder.recorder.starts_from(77)
    assert call(ros, recorder, Press.DROP)[0]
    ros.spin_until(lambda: recorder.sink._sink.next_seed == 78)
    arrays = stored(ros, recorder, tmp_path / "a.zarr", 1).episode(0).arrays
    assert np.diff(arrays["tool_position"][:, 2]).min() > 1e-3
    assert np.array_equal(arrays["action"][:-1, :3], arrays["tool_position"][1:])
    assert np.array_equal(arrays["action"], arrays["action_requested"])
    assert set(arrays["action"][:, 9].tolist()) == {np.float32(0.04)}
    assert set(arrays["control"]) == {int(Control.DEVICE)}
