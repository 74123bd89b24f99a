"""`python -m df_policy <command>`: finds the command, and turns every ending into an exit code."""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from df_policy import __version__
from df_policy.errors import DfPolicyError, nearest

COMMANDS = {
    "demo": "solve a task in simulation with the shipped checkpoint",
    "train": "train a policy on a recording",
    "evaluate": "measure a policy over many episodes in simulation",
    "compare": "say whether one evaluation is better than another, seed by seed",
    "looks": "draw what the cameras see as episodes begin, disturbed or not",
    "imagine": "show what a policy expects to see, beside what then happened",
    "benchmark": "reproduce a task's whole table, from recordings to plots",
    "bringup": "start the ROS 2 nodes that drive a robot, or record it",
    "preflight": "look at a real robot, its cameras and this machine before anything moves",
    "calibrate": "find where cameras are, where the tool may be, and how the robot moves",
    "figures": "draw the figures of the hardware guide, from the simulator",
    "latency": "measure the chain from image to target over ROS 2, on this machine",
    "replay": "make the plans of a policy_node's log once more, bit for bit",
    "ship": "put a run's checkpoint among the shipped weights",
    "data": "look at recordings, prove, repair, view and change them",
    "info": "show versions, optional parts, checkpoints, and what a recording holds",
}

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE


def help_text() -> str:
    """The commands with a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m df_policy <command> [options]",
            "",
            "commands:",
            *lines,
            "",
            "`python -m df_policy <command> --help` shows a command's options.",
        ]
    )


def load(name: str) -> Callable[[list[str]], int]:
    """The entry point of the command `name`.

    Raises:
        KeyError: if there is no such command.
    """
    if name not in COMMANDS:
        raise KeyError(name)
    module = importlib.import_module(f"df_policy.commands.{name}")
    entry: Callable[[list[str]], int] = module.main
    return entry


def unknown(name: str) -> str:
    """What to say to a command that does not exist."""
    hint = nearest(name, COMMANDS) or f"; expected one of: {', '.join(COMMANDS)}"
    return f"unknown command {name!r}{hint}"


@contextmanager
def terminable() -> Iterator[None]:
    """Within, SIGTERM ends the program as an exception does: every `finally` runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """The command's exit code; errors that the user can mend become one line on stderr."""
    try:
        with terminable():
            return command(argv)
    except DfPolicyError as error:
        complain(str(error))
        return EXIT_ERROR
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED


def complain(message: str) -> None:
    """One line for the person at the terminal."""
    print(f"df_policy: {message}", file=sys.stderr)


def reader_left() -> bool:
    """Whether nobody reads standard output any more, as after `| head`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLERR)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def dispatch(arguments: list[str]) -> int:
    """The exit code of what `arguments` ask for."""
    if not arguments:
        print(help_text(), file=sys.stderr)
        return EXIT_USAGE
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if name == "--version":
        print(f"df_policy {__version__}")
        return 0
    if name not in COMMANDS:
        complain(unknown(name))
        return EXIT_USAGE
    # Imported inside `run`, so that an interrupted import ends as the command would.
    return run(lambda options: load(name)(options), rest)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names (default: the program's own arguments)."""
    try:
        code = dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_left():
            raise
        # Python flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    return code
