"""A person behind a device, alone or beside a policy: what becomes of each press and each tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from df_policy.environment import Command, Event
from df_policy.frames import Action, Control, Observation
from df_policy.robot import RobotSpec
from df_policy.teleop.autopilot import Autopilot
from df_policy.teleop.mapping import Hand, Handling
from df_policy.teleop.reading import Press, Reading, Wish
from df_policy.teleop.status import Stage, Status, Watcher

Read = Callable[[], Reading]

UNWATCHED_S = 1.0
"""A person who was gone for longer must hand back to the policy; until then the robot holds."""

NOTE_BYTES = 500
"""Of UTF-8; what recordings have room for."""

_ENDS = {Press.KEEP: Event.KEEP, Press.DROP: Event.DROP, Press.RERECORD: Event.RERECORD}
_SAID = {
    Event.KEEP: "kept",
    Event.DROP: "dropped",
    Event.RERECORD: "dropped; the same start again",
    Event.QUIT: "leaving",
}


def fitting(note: str) -> str:
    """The note as a recording can hold it; what is too long is cut, at a whole letter."""
    return (
        note.replace("\0", " ")
        .strip()
        .encode("utf-8", "replace")[:NOTE_BYTES]
        .decode("utf-8", "ignore")
    )


def nothing(status: Status) -> Status:
    """There is nothing to add."""
    return status


class Person:
    """An operator for `recorder.run_episode`.

    An episode begins when the person says start. While the device is gone the robot holds its last
    target, the ticks are recorded as nobody's, and a policy does not drive unwatched.

    Args:
        read: the device's newest reading; must not wait.
        spec: the robot's limits and rate.
        handling: how strongly it answers.
        watchers: are shown every tick.
        autopilot: drives until the person does.
        about: fills in what the recording knows of itself.
        most_steps: the longest episode; it then pauses until it is kept or dropped.
        hindrance: why recording must wait now, or nothing.
    """

    def __init__(
        self,
        read: Read,
        spec: RobotSpec,
        handling: Handling,
        watchers: Sequence[Watcher] = (),
        autopilot: Autopilot | None = None,
        about: Callable[[Status], Status] = nothing,
        most_steps: int = 20_000,
        hindrance: Callable[[], str] = str,
    ) -> None:
        self._read, self._spec, self._watchers = read, spec, watchers
        self._hand = Hand(spec, handling)
        self._autopilot = autopilot
        self._about, self._hindrance = about, hindrance
        self._most_steps = most_steps
        self._steps = self._unwatched = 0
        self._message = ""
        self._status = Status(policy=autopilot is not None)

    def start(self, observation: Observation, seed: int) -> None:
        """A new episode stands at its start, and waits for the person."""
        self._last = observation.hold()
        self._steps = 0
        self._status = Status(seed=seed, policy=self._autopilot is not None)
        self._driver = Control.DEVICE
        self._hand.let_go()
        if self._autopilot is not None:
            self._autopilot.start(seed)
            self._driver = Control.POLICY

    def act(self, observation: Observation) -> Command:
        """The action of whoever drives, and what the person wants of the recording."""
        reading = self._read()
        self._watch(reading)
        event = self._obey(reading.wishes)
        if self._status.stage is Stage.RECORDING and event is None:
            event = self._must_pause()
        # The action that comes with KEEP is carried out: it ends the episode at its present place.
        moving = self._status.stage is Stage.RECORDING and event is None
        if moving:
            action, control = self._drive(observation, reading)
        else:
            action, control = self._last, Control.NOBODY if reading.problem else self._driver
            self._hand.let_go()
        self._show(observation, reading.problem, control)
        if event is None and not moving:
            event = Event.PAUSE
        return Command(action, event, control, self._status.success, self._status.note)

    def sent(self, action: Action) -> None:
        """The last action as the robot was told."""
        self._last = action
        self._steps += 1
        if self._autopilot is not None:
            self._autopilot.sent(action)

    def _drive(self, observation: Observation, reading: Reading) -> tuple[Action, Control]:
        if self._driver is Control.POLICY and self._hand.is_pushed(reading.motion):
            self._take_over("you drive now")
        if self._autopilot is not None:
            self._autopilot.look(observation)
        if reading.problem:
            self._hand.let_go()
            return self._last, Control.NOBODY
        if self._driver is Control.POLICY and self._autopilot is not None:
            return self._autopilot.action(self._last), Control.POLICY
        return self._hand.target(reading.motion, self._last), Control.DEVICE

    def _watch(self, reading: Reading) -> None:
        """A policy that nobody watches waits, and after a while is not asked any more."""
        recording = self._status.stage is Stage.RECORDING
        if not (reading.problem and recording and self._driver is Control.POLICY):
            self._unwatched = 0
            return
        self._unwatched += 1
        if self._autopilot is not None:
            self._autopilot.forget_plan()
        if self._unwatched * 1e-9 * self._spec.period_ns > UNWATCHED_S:
            self._take_over("nobody watched the policy, so it waits to be handed back to")

    def _take_over(self, message: str) -> None:
        self._driver = Control.DEVICE
        self._message = message
        self._hand.let_go()

    def _obey(self, wishes: Sequence[Wish]) -> Event | None:
        """Carry out what was pressed; the first wish that ends the episode counts."""
        event = None
        for wish in wishes:
            event = event or self._obey_one(wish)
        if event is not None:
            self._message = _SAID[event]
        return event

    def _obey_one(self, wish: Wish) -> Event | None:
        begun = self._steps > 0
        press = wish.press
        if press is Press.TOGGLE:
            press = Press.PAUSE if self._status.stage is Stage.RECORDING else Press.START
        match press:
            case Press.QUIT:
                return Event.QUIT
            case Press.KEEP | Press.DROP | Press.RERECORD:
                if begun or press is not Press.KEEP:
                    return _ENDS[press]
                self._message = "nothing is recorded yet: press start first"
            case Press.START if self._steps < self._most_steps:
                self._set(stage=Stage.RECORDING)
                self._message = "recording"
            case Press.PAUSE if self._status.stage is Stage.RECORDING:
                self._set(stage=Stage.PAUSED)
                self._message = "paused"
            case Press.SUCCESS | Press.FAILURE:
                self._set(success=press is Press.SUCCESS)
                self._message = f"marked as {press.value}"
            case Press.NOTE:
                self._set(note=fitting(wish.text))
                self._message = "noted"
            case Press.TAKE_OVER:
                self._take_over("you drive now")
            case Press.HAND_BACK if self._autopilot and self._driver is not Control.POLICY:
                self._driver = Control.POLICY
                self._autopilot.forget_plan()
                self._message = "the policy drives with its next plan"
        return None

    def _must_pause(self) -> Event | None:
        reason = self._hindrance()
        if self._steps >= self._most_steps:
            reason = "the episode is as long as may be: keep or drop it"
        if reason:
            self._set(stage=Stage.PAUSED)
            self._message = reason
            return Event.PAUSE
        return None

    def _set(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]

    def _show(self, observation: Observation, problem: str, control: Control) -> None:
        time_s = self._steps * 1e-9 * self._spec.period_ns
        status = replace(
            self._status, control=control, time_s=time_s, problem=problem, message=self._message
        )
        status = self._about(status)
        for watcher in self._watchers:
            watcher.show(status, observation)
