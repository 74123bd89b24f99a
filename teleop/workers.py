"""Episodes from several processes, delivered in the order of their seeds."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from df_policy.environment import Environment, Operator
from df_policy.errors import DfPolicyError
from df_policy.frames import Frame
from df_policy.teleop.recorder import Outcome, never, run_episode

World = tuple[Environment, Operator]
Build = Callable[[], World]
"""Makes a world and who drives it; must be picklable to run in another process."""

AHEAD = 3
"""Episodes per process that may be under way or wait for their turn: this bounds the memory."""

_POLL_S = 0.2
_FAREWELL_S = 2.0


@dataclass
class Recorded:
    """One episode, not yet stored; as a sink it collects the frames."""

    seed: int
    frames: list[Frame] = field(default_factory=list)
    outcome: Outcome = Outcome.QUIT
    success: bool = False
    note: str = ""

    def append(self, frame: Frame) -> None:
        """Collect a frame."""
        self.frames.append(frame)

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        """Remember the verdict."""
        self.seed, self.success, self.note = seed, success, note

    def drop(self, seed: int | None = None) -> None:
        """Forget the frames."""
        del seed
        self.frames.clear()


def record_one(world: World, seed: int, stop: Callable[[], bool] = never) -> Recorded:
    """Record the episode of one seed."""
    episode = Recorded(seed)
    episode.outcome = run_episode(*world, seed, episode, stop=stop)
    return episode


def here(
    build: Build, first_seed: int, stop: Callable[[], bool]
) -> Generator[Recorded, None, None]:
    """Record in this process, one seed after the other, until `stop`."""
    world = build()
    try:
        seed = first_seed
        while not stop():
            yield record_one(world, seed, stop)
            seed += 1
    finally:
        world[0].close()


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    seed: int | None = None
    """What it records now."""


def in_processes(
    build: Build, first_seed: int, stop: Callable[[], bool], count: int
) -> Generator[Recorded, None, None]:
    """Record in `count` processes; deliver in the order of the seeds until `stop`.

    Raises:
        DfPolicyError: if a process dies, or the world or operator raised one.
        RuntimeError: if they raised anything else; it carries their traceback.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(build, theirs), daemon=True)
            with _sigint_held_back():
                process.start()
            theirs.close()
            workers.append(_Worker(process, ours))
        yield from _in_order(workers, first_seed, stop)
    finally:
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            _end(worker.process)


@contextmanager
def _sigint_held_back() -> Iterator[None]:
    """Within, SIGINT waits; a process that is started here never gets it, not even in an import.

    Ctrl-C reaches the whole group; only the parent, who writes, decides what follows.
    """
    resource_tracker.ensure_running()  # starting it later would let SIGINT through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_order(
    workers: list[_Worker], first_seed: int, stop: Callable[[], bool]
) -> Iterator[Recorded]:
    waiting: dict[int, Recorded] = {}
    wanted = issued = first_seed
    while not stop():
        for worker in workers:
            if worker.seed is None and issued < wanted + AHEAD * len(workers):
                worker.seed = issued
                _send(worker, issued)
                issued += 1
        for pipe in wait([w.pipe for w in workers if w.seed is not None], _POLL_S):
            worker = next(w for w in workers if w.pipe is pipe)
            try:
                episode = _receive(worker)
            except DfPolicyError:
                if stop():  # a signal to the whole group may end the processes before us
                    return
                raise
            worker.seed = None
            waiting[episode.seed] = episode
        while wanted in waiting and not stop():
            yield waiting.pop(wanted)
            wanted += 1


def _send(worker: _Worker, seed: int) -> None:
    try:
        worker.pipe.send(seed)
    except OSError as error:
        raise _death(worker) from error


def _receive(worker: _Worker) -> Recorded:
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError) as error:
        raise _death(worker) from error
    if isinstance(answer, Recorded):
        return answer
    if isinstance(answer, DfPolicyError):
        raise answer
    raise RuntimeError(f"recording of seed {worker.seed} failed:\n{answer}")


def _death(worker: _Worker) -> DfPolicyError:
    worker.process.join(_FAREWELL_S)
    return DfPolicyError(
        f"expected seed {worker.seed} from a recording process, got its end (exit code "
        f"{worker.process.exitcode}; -9 is often a lack of memory); run the same command again, "
        "with fewer --workers if it comes back"
    )


def _end(process: SpawnProcess) -> None:
    """End a process that this one started, which leaves by itself when its pipe is closed."""
    process.join(_FAREWELL_S)
    if process.is_alive():
        process.terminate()
        process.join(_FAREWELL_S)
    if process.is_alive():
        process.kill()
        process.join()


def _work(build: Build, pipe: Connection) -> None:
    """A recording process: seeds come in, episodes go out."""
    world: World | None = None
    try:
        while True:
            seed = pipe.recv()
            world = world or build()
            pipe.send(record_one(world, seed, _gone(pipe)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except DfPolicyError as error:
        pipe.send(error)
    except Exception:
        pipe.send(traceback.format_exc())
    finally:
        if world is not None:
            world[0].close()


def _gone(pipe: Connection) -> Callable[[], bool]:
    """Whether the parent has hung up: it never sends while an episode is under way."""

    def gone() -> bool:
        return pipe.poll()

    return gone
