"""The control side's hold on the planner: gives it jobs, and a successor when it dies.

Nothing here waits, but for the first start. What a planner remembers is kept here, token by token
as it hands them back, so that its successor can go on in the same session.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes.channel import PACKET, SLOTS, Channel, PlannerGoneError, pair
from df_policy.ros_nodes.planner_start import Running, Start
from df_policy.ros_nodes.planning import MOST_WAITING, Hello, Job, Outcome, Picture, Recall

FIRST_S = 120.0
"""How long a planner may take to load."""
SILENT_S = 5.0
"""A planner that has not answered a job for so long is taken for hung."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
"""Before a start after a death; it doubles with each death that follows without an answer."""
IN_VAIN = 3
"""After so many deaths without an answer between them a person must look."""
MOST_TOKENS = 4096
"""Of a session; beyond, a successor has forgotten its beginning."""

OTHER = "another policy is there now: put the checkpoint back, or start the node anew"

Listener = Callable[[Job | Recall | Outcome | Picture], None]


@dataclass
class _Session:
    """What a successor needs to go on."""

    number: int
    tokens: deque[bytes]
    rest: bytes = b""


class PlannerLink:
    """Runs a planner; jobs go in and outcomes come out without anyone waiting.

    Args:
        start: starts a planner.
        listen: hears of every record that goes either way, in order.
        now_ns: the monotonic clock.
    """

    def __init__(
        self,
        start: Start,
        listen: Listener = lambda _: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._start, self._listen, self._now_ns = start, listen, now_ns
        self._session: _Session | None = None
        self._unanswered: deque[Job] = deque()
        self._slots: dict[tuple[int, int], int] = {}
        self._free = set(range(SLOTS))
        self.deaths = self._in_vain = 0
        self._pause_s = FIRST_PAUSE_S
        self._again_ns = 0
        self._last_ns = now_ns()
        self._running: Running | None = None
        self._first: Hello | None = None
        self.down = ""
        """Why there is no planner now; empty while there is one."""
        self._open()

    def hello(self, timeout_s: float = FIRST_S) -> Hello:
        """Wait until the planner is there, and hear what it is.

        Raises:
            DfPolicyError: if it cannot be, or is not in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            message = self._receive()
            if isinstance(message, Hello):
                if message.problem:
                    raise DfPolicyError(message.problem)
                return message
            if self.down.startswith("the planner died"):
                raise DfPolicyError(f"expected a planner, got none: {self.down}")
            time.sleep(0.01)
        raise DfPolicyError(f"expected the planner within {timeout_s:g} s, got nothing")

    @property
    def process(self) -> int:
        """The planner's process number; 0 where it is none of its own."""
        return int(getattr(self._running, "pid", 0))

    @property
    def stuck(self) -> str:
        """Why there is no planner, if starting it again and again is of no use; else empty."""
        return self.down if self._in_vain >= IN_VAIN else ""

    @property
    def waiting(self) -> int:
        """Jobs without an answer."""
        return len(self._unanswered)

    def submit(self, job: Job) -> bool:
        """Plan this after all that waits; jobs of other sessions are dropped.

        Returns:
            Whether it was taken: not if too many wait already, or there is no planner.
        """
        if self._session is None or self._session.number != job.session:
            self._session = _Session(job.session, deque(maxlen=MOST_TOKENS))
            self._unanswered.clear()
        if self.down or len(self._unanswered) >= MOST_WAITING or not self._free:
            return False
        self._unanswered.append(job)
        self._send(job)
        return True

    def take(self) -> Outcome | None:
        """The newest outcome with a plan or a problem, once.

        Also the moment at which a planner's death is noticed and mended: call it at each tick.
        """
        newest = None
        while (message := self._receive()) is not None:
            if isinstance(message, Outcome):
                fresh = self._settle(message)
                newest = message if fresh and (message.plan or message.problem) else newest
            elif isinstance(message, Hello):
                self._rejoin(message)
            else:
                self._listen(message)
        self._watch()
        return newest

    def close(self, timeout_s: float = 5.0) -> bool:
        """Hang up and see the planner off; whether it ended by itself in time."""
        self._channel.close()
        if self._running is None:
            return True
        if self.down:  # it holds nothing yet, and may not look at its line for long
            self._running.kill()
        try:
            self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
            return False
        return True

    def _open(self) -> None:
        """Start a planner on a new line."""
        ours, theirs = pair()
        self._channel = Channel(ours)
        try:
            self._running = self._start(theirs)
        except OSError as error:
            self._running = None
            self._bury(f"cannot be started: {error}")
            return
        finally:
            theirs.close()
        self._last_ns = self._now_ns()
        self.down = "the planner is being started"

    def _receive(self) -> Hello | Outcome | Picture | None:
        if self.down.startswith("the planner died"):
            return None
        try:
            self._channel.flush()
            message = self._channel.receive(wait=False)
        except PlannerGoneError:
            self._bury(self._how())
            return None
        except DfPolicyError as error:
            self._bury(f"said what cannot be understood: {error}")
            return None
        if isinstance(message, Hello) and not message.problem:
            self._first = self._first or message
            self.down = ""
        return message

    def _settle(self, outcome: Outcome) -> bool:
        """Keep what the planner remembers; whether the answer is of the present session."""
        answered = (outcome.session, outcome.number)
        while self._slots:  # in order; of those before it nobody wanted an answer
            job, slot = next(iter(self._slots.items()))
            del self._slots[job]
            self._free.add(slot)
            if job == answered:
                break
        self._last_ns = self._now_ns()
        self._pause_s, self._in_vain = FIRST_PAUSE_S, 0
        self._listen(outcome)
        session = self._session
        if session is None or session.number != outcome.session:
            return False
        if self._unanswered and self._unanswered[0].number == outcome.number:
            self._unanswered.popleft()
        if outcome.trace is not None:
            session.tokens.append(outcome.trace.token)
            session.rest = outcome.trace.rest
        return True

    def _send(self, job: Job) -> None:
        slot = self._free.pop()
        self._slots[job.session, job.number] = slot
        if len(self._slots) == 1:
            self._last_ns = self._now_ns()
        self._listen(job)
        try:
            self._channel.send(self._channel.pack(job, slot))
        except PlannerGoneError:
            self._bury(self._how())

    def _rejoin(self, hello: Hello) -> None:
        """Tell the successor all that the dead one knew, and what it left unanswered."""
        if problem := hello.problem or ("" if hello == self._first else OTHER):
            self._bury(problem)
            return
        self._slots.clear()
        self._free = set(range(SLOTS))
        try:
            for recall in self._recalls():
                self._listen(recall)
                self._channel.send(self._channel.pack(recall))
        except PlannerGoneError:
            self._bury(self._how())
        for job in self._unanswered:
            if self.down:  # it died already: the next one gets them
                return
            self._send(job)

    def _recalls(self) -> Iterator[Recall]:
        """What the dead one remembered, in parts that fit into a packet."""
        session = self._session
        if session is None or not session.rest:
            return
        tokens = list(session.tokens)
        at_once = max(1, PACKET // 2 // max(map(len, tokens)))
        for begin in range(0, len(tokens), at_once):
            last = begin + at_once >= len(tokens)
            part = tokens[begin : begin + at_once]
            yield Recall(session.number, part, session.rest if last else b"")

    def _watch(self) -> None:
        """Kill a planner that hangs; start one in place of a dead one, later each time."""
        now_ns = self._now_ns()
        if self.down.startswith("the planner died"):
            gone = self._running is None or self._running.poll() is not None
            if gone and now_ns >= self._again_ns:
                self._open()
            return
        patience_s = FIRST_S if self.down else SILENT_S
        if (self.down or self._slots) and now_ns - self._last_ns > patience_s * 1e9:
            self._bury(f"no answer for {patience_s:g} s")

    def _how(self) -> str:
        """How the planner's process ended."""
        code = None if self._running is None else self._running.poll()
        return "its line was cut" if code is None else f"exit code {code}"

    def _bury(self, how: str) -> None:
        """Make sure that the planner is dead, and say when there will be another."""
        if self._running is not None:
            self._running.kill()
        self._channel.close()
        self.deaths += 1
        self._in_vain += 1
        self.down = f"the planner died ({how}) and is started again"
        self._again_ns = self._now_ns() + math.ceil(self._pause_s * 1e9)
        self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
