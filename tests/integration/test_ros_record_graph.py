"""A recording over ROS 2 from nothing: real processes, real episodes, nobody at a device."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node
from ros_bench import HOME, SPEC, FakeWorld, Ros

from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.errors import DfPolicyError
from df_policy.frames import Control
from df_policy.ros_nodes import recorder_link, topics
from df_policy.ros_nodes.recorder_link import RecorderLink
from df_policy.ros_nodes.recorder_node import RecorderNode
from df_policy.ros_nodes.sim_node import SimNode
from df_policy.ros_nodes.teleop_node import TeleopNode
from df_policy.sim.tasks import find
from df_policy.teleop.reading import Press, Reading, Stick, Wish

ROOT = Path(__file__).parents[2]
TASK = find("fruit_swap_regrasp")

pytestmark = pytest.mark.ros


def record(out, episodes):
    options = ["--task", TASK.name, "--device", "scripted"]
    return subprocess.run(
        [sys.executable, "-m", "df_policy", "bringup", "record", *options]
        + ["--out", str(out), "--episodes", str(episodes)],
        cwd=ROOT,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
def test_the_script_records_over_ros_until_there_are_enough_and_goes_on_later(tmp_path):
    out = tmp_path / "a.zarr"
    assert record(out, 1).returncode == 0
    first = EpisodeStore.open(out)
    assert (len(first), first.header.task, first.header.operators) == (1, TASK.name, ("scripted",))
    assert record(out, 2).returncode == 0
    store = EpisodeStore.open(out)
    assert verify(out).findings == ()
    assert len(store) == 2
    assert store.seeds[0] >= 1_000_000
    assert store.seeds[1] > store.seeds[0], "no start is recorded twice"
    for index in range(2):
        episode = store.episode(index)
        assert episode.success
        assert int(store.lengths[index]) >= TASK.steps
        arrays = episode.arrays
        assert np.ptp(arrays["action"][:, 9]) > 0.03, "the hand closed"
        # The robot went where it was told: what was recorded is what moved it.
        way = np.linalg.norm(arrays["tool_position"][1:] - arrays["action"][:-1, :3], axis=1)
        assert np.median(way) < 0.02
        # On a busy machine targets stay away now and then, and those steps are nobody's.
        assert np.mean(arrays["control"] == Control.DEVICE) > 0.5


class Hand:
    """A device that a test moves; while it is `away`, nobody holds it."""

    name = "hand"

    def __init__(self):
        self.stick, self.wishes, self.away = Stick(), [], False

    def open(self):
        pass

    def poll(self):
        wishes, self.wishes = tuple(self.wishes), []
        problem = "hand: gone" if self.away else ""
        return Reading(self.stick, time.monotonic(), wishes, problem)

    def close(self):
        pass

    def press(self, press):
        self.wishes.append(Wish(press))


def test_a_person_records_over_ros_with_what_they_hold(tmp_path):
    """Up with the stick, kept; then dropped; each from a start of its own."""
    ros, hand, out = Ros(), Hand(), tmp_path / "a.zarr"
    try:
        world = FakeWorld()
        ros.add(SimNode, lambda task: (world, {}), real_time_factor=2.0, seed=7)
        about = {"robot": json.dumps(asdict(SPEC)), "task": "tiny", "use_sim_time": True}
        recorder = ros.add(RecorderNode, out=str(out), gather_s=0.5, episodes=1, **about)
        teleop = ros.add(TeleopNode, lambda config, robot: hand, **about)
        ros.spin_until(lambda: teleop._last is not None and recorder.recorder.status.seed == 7)
        low = world.at.tool.position_m[2]
        hand.stick = Stick(linear=(0.0, 0.0, 1.0))
        ros.spin_until(lambda: world.at.tool.position_m[2] > low + 0.01)
        hand.press(Press.START)
        ros.spin_until(lambda: recorder.recorder._frames >= 5)
        hand.away = True
        frames = recorder.recorder._frames
        ros.spin_until(lambda: recorder.recorder._frames >= frames + 5)
        assert not recorder.complete
        hand.press(Press.KEEP)
        ros.spin_until(lambda: recorder.complete)
        ros.spin_until(lambda: world.seeds[-1] == 8)
        hand.away, hand.stick = False, Stick()
        ros.spin_until(lambda: teleop._last is not None)
        assert np.allclose(world.at.tool.position_m, HOME.tool.position_m, atol=1e-3)
        assert recorder.recorder.status.seed == 8
    finally:
        ros.close()
    store = EpisodeStore.open(out)
    arrays = store.episode(0).arrays
    assert (len(store), list(store.seeds), store.episode(0).success) == (1, [7], True)
    assert arrays["action"][4, 2] > arrays["action"][0, 2] + 0.01
    assert arrays["control"][0] == Control.DEVICE
    assert arrays["control"][-1] == Control.NOBODY
    assert np.array_equal(arrays["action"][-1], arrays["action"][-2])


class Recorder(Node):
    """Answers as the recorder does; `stage` is what it says of itself."""

    def __init__(self, **overrides):
        super().__init__("recorder", **overrides)
        self.pressed, self.seeds, self.stage, self.kept, self.refused = (
            [],
            [],
            "recording",
            3,
            set(),
        )
        for press, service in topics.RECORDER.items():
            self.create_service(topics.TRIGGER, service.name, self.say(press))
        topics.subscribe(self, topics.SEED, lambda message: self.seeds.append(message.data))

    def say(self, press):
        def answer(_, response):
            self.pressed.append(press)
            self.kept += press is Press.KEEP and press not in self.refused
            response.success = press not in self.refused
            said = {"said": "no" if press in self.refused else "yes", "stage": self.stage}
            response.message = json.dumps({**said, "kept": 0, "asked": self.kept})
            return response

        return answer


@pytest.fixture
def linked():
    ros = Ros()
    recorder, node = ros.add(Recorder), ros.add(Node, "episodes")

    def ask(service):
        ros.spin_until(link.callers[service].service_is_ready)
        future = link.callers[service].call_async(topics.TRIGGER.Request())
        ros.spin_until(future.done)
        return future.result()

    link = RecorderLink(node, ask)
    yield ros, recorder, link
    ros.close()


def test_what_succeeds_is_kept_and_nothing_else_is(linked, monkeypatch):
    ros, recorder, link = linked
    link.prepare()
    assert (recorder.pressed, link.kept) == ([Press.DROP], 3)
    link.announce(2**40)
    ros.spin_until(lambda: recorder.seeds == [2**40])
    recorder.refused = {Press.START}
    assert link.begin() == "no"
    recorder.refused = set()
    assert link.begin() == ""
    recorder.pressed.clear()
    assert link.end(success=True) == ""
    assert (recorder.pressed, link.kept) == ([Press.SUCCESS, Press.KEEP], 4)
    recorder.pressed.clear()
    assert link.end(success=False) == "dropped"
    recorder.stage = "paused"
    assert "a stream was lost" in link.end(success=True)
    drop = [Press.DROP]
    assert recorder.pressed == [Press.FAILURE, *drop, Press.SUCCESS, *drop]
    assert link.kept == 4
    monkeypatch.setattr(recorder_link, "MOST_FAILURES_IN_A_ROW", 3)
    with pytest.raises(DfPolicyError, match="3 failures one after the other"):
        link.end(success=False)
    recorder.stage, recorder.refused = "recording", {Press.KEEP}
    with pytest.raises(DfPolicyError, match="keep an episode, got: no"):
        link.end(success=True)
