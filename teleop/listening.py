"""A recorder that drives nothing: it samples what a robot says and what somebody else tells it.

Knows no ROS: whoever hears the robot fills the streams and calls `advance`.
"""

from __future__ import annotations

from dataclasses import replace

from df_policy.align import LateStreamError, RobotStreams
from df_policy.errors import DfPolicyError
from df_policy.frames import UNKNOWN, Arrival, Control, Frame, Observation
from df_policy.robot import RobotSpec
from df_policy.teleop.actions import Actions
from df_policy.teleop.reading import Press, Wish
from df_policy.teleop.recorder import Sink
from df_policy.teleop.status import Stage, Status

NO_SEED = -1
"""Nobody has said from which start an episode is."""
_SILENT_PERIODS = 2
"""Of actions: nobody has told the robot anything for so long, and it holds its last target."""
_MOST_STEPS = 20_000 - 1


class ListeningRecorder:
    """Turns streams into episodes, by the rule that a policy sees them by.

    The first images after the start begin a grid of times, one action period apart. At each, the
    newest samples not after it make the observation, and `actions` say what the robot was told
    before the next; requested was the same, for all that is known. A pause cuts the time in which
    it lasts out of the stamps. A stream that stays away too long ends the episode's growth: what
    was recorded before can be kept.

    Args:
        spec: the robot.
        streams: what it says; stamps by its clock.
        actions: what it is told, or where it is led.
        sink: takes the episodes.
        gather_ns: how long a tick waits for samples that are under way.
    """

    def __init__(
        self,
        spec: RobotSpec,
        streams: RobotStreams,
        actions: Actions,
        sink: Sink,
        gather_ns: int,
    ) -> None:
        self._spec, self._streams, self._actions = spec, streams, actions
        self._sink, self._gather_ns = sink, gather_ns
        self._next_ns: int | None = None
        """The tick that comes next, by the robot's clock."""
        self._open: Observation | None = None
        """The observation whose action is not known yet; its stamps are the robot's."""
        self._wanted_ns = self._shift_ns = self._frames = self._received_ns = 0
        self.status = Status(seed=NO_SEED)
        self.seen: Observation | None = None
        """The newest observation."""

    def obey(self, wish: Wish, now_ns: int) -> str:
        """Do what was pressed; says what was done.

        Raises:
            DfPolicyError: if it is not the time for it.
        """
        self.advance(now_ns)
        press = wish.press
        if press is Press.TOGGLE:
            press = Press.PAUSE if self.status.stage is Stage.RECORDING else Press.START
        match press:
            case Press.START:
                said = self._start(now_ns)
            case Press.PAUSE:
                said = self._pause()
            case Press.KEEP:
                said = self._keep()
            case Press.DROP | Press.RERECORD:
                self._sink.drop(None if self.status.seed == NO_SEED else self.status.seed)
                self._forget()
                self._set(seed=NO_SEED, stage=Stage.READY, success=None, note="", problem="")
                said = "dropped"
            case Press.SUCCESS | Press.FAILURE:
                self._set(success=press is Press.SUCCESS)
                said = f"marked as {press.value}"
            case Press.NOTE:
                self._set(note=wish.text)
                said = "noted"
            case _:
                raise DfPolicyError(f"expected a wish about the episode, got {press.value}")
        self._set(message=said)
        return said

    def advance(self, now_ns: int) -> None:
        """Take all ticks that are due and whose samples are there."""
        while self.status.stage is Stage.RECORDING:
            if self._next_ns is None and not self._begin():
                return
            due_ns = self._next_ns or 0
            patience_ns = self._streams.delay_ns + self._gather_ns
            if now_ns < due_ns + patience_ns and not (now_ns >= due_ns and self._settled(due_ns)):
                return
            try:
                self._tick(due_ns)
            except LateStreamError as late:
                self._hurt(f"{late}: keep what was recorded before, or drop it")

    def starts_from(self, seed: int) -> None:
        """The episode that is open, or opened next, has the start that this seed describes."""
        self._set(seed=seed)

    def interrupt(self, problem: str) -> None:
        """What was recorded before can be kept; nothing, where no episode is under way."""
        if self.status.stage is Stage.RECORDING:
            self._hurt(problem)

    def _start(self, now_ns: int) -> str:
        if self.status.problem:
            raise DfPolicyError(self.status.problem)
        if self.status.stage is Stage.RECORDING:
            raise DfPolicyError("expected no episode under way, got one: keep or drop it first")
        self._streams.check(now_ns)
        self._actions.until(now_ns)
        self._wanted_ns = now_ns
        self._set(stage=Stage.RECORDING)
        return "recording"

    def _pause(self) -> str:
        if self.status.stage is not Stage.RECORDING:
            raise DfPolicyError("expected a recording that runs, got none: start it first")
        self._next_ns = self._open = None
        self._set(stage=Stage.PAUSED)
        return "paused"

    def _keep(self) -> str:
        if not self._frames:
            raise DfPolicyError("expected frames, got none yet: start, and keep a little later")
        frames, success = self._frames, self.status.success is not False
        self._sink.keep(self.status.seed, success, self.status.note)
        self._forget()
        self._set(seed=NO_SEED, stage=Stage.READY, success=None, note="", problem="", time_s=0.0)
        return f"kept {frames} frames"

    def _forget(self) -> None:
        self._next_ns = self._open = None
        self._frames = self._received_ns = 0

    def _begin(self) -> bool:
        """Let the grid begin with the first images after the start, once they are there."""
        newest = [stream.newest_ns for stream in self._streams.images.values()]
        stamps = [stamp for stamp in newest if stamp is not None and stamp > self._wanted_ns]
        if len(stamps) < len(newest):
            return False
        self._next_ns = max(stamps)
        self._shift_ns = self._frames * self._spec.period_ns - self._next_ns
        return True

    def _settled(self, tick_ns: int) -> bool:
        """Whether nothing that still comes can change what is recorded up to this tick."""
        return self._streams.settled(tick_ns) and self._actions.settled(tick_ns)

    def _tick(self, tick_ns: int) -> None:
        since = None if self._open is None else tick_ns - self._spec.period_ns
        if self._open is not None:
            self._sink.append(self._frame(self._open, tick_ns))
            self._open, self._frames = None, self._frames + 1
            self._set(time_s=1e-9 * self._frames * self._spec.period_ns)
        if self._frames >= _MOST_STEPS:
            self._hurt("the episode is as long as may be: keep or drop it")
            return
        self.seen = self._open = self._streams.observe(tick_ns, since)
        self._next_ns = tick_ns + self._spec.period_ns

    def _frame(self, seen: Observation, end_ns: int) -> Frame:
        """The observation, and what the robot was told until `end_ns`."""
        told, age_ns = self._actions.until(end_ns)
        silent = age_ns > _SILENT_PERIODS * self._spec.period_ns
        received = (one.received_ns for one in seen.arrivals.values())
        self._received_ns = max(self._received_ns, *received)
        control = Control.NOBODY if silent else Control.DEVICE
        return Frame(self._shifted(seen), told, told, self._received_ns, control)

    def _shifted(self, seen: Observation) -> Observation:
        """With stamps that count from the episode's start."""
        shift = self._shift_ns
        arrivals = {name: _shifted(one, shift) for name, one in seen.arrivals.items()}
        images = {name: stamp + shift for name, stamp in seen.image_stamps_ns.items()}
        stamp_ns = seen.stamp_ns + shift
        return replace(seen, stamp_ns=stamp_ns, image_stamps_ns=images, arrivals=arrivals)

    def _hurt(self, problem: str) -> None:
        self._next_ns = self._open = None
        self._set(stage=Stage.PAUSED, problem=problem)

    def _set(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]


def _shifted(arrival: Arrival, shift_ns: int) -> Arrival:
    known = arrival.stamp_ns != UNKNOWN
    return replace(arrival, stamp_ns=arrival.stamp_ns + shift_ns) if known else arrival
