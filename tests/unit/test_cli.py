"""The command line: every ending has its exit code and at most one line of complaint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from df_policy import cli
from df_policy.errors import DfPolicyError


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'zarr', 'mujoco', 'rich', 'rclpy'}"
    done = python(
        f"import sys; from df_policy import cli; cli.main(['--help']); "
        f"sys.exit(bool({heavy} & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == cli.EXIT_USAGE
    assert capsys.readouterr().err == "df_policy: unknown command 'trian'; did you mean 'train'?\n"


def test_an_unknown_command_with_no_near_name_gets_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["xyz"]) == cli.EXIT_USAGE
    assert ", ".join(cli.COMMANDS) in capsys.readouterr().err


def test_no_command_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.EXIT_USAGE
    assert "usage:" in capsys.readouterr().err


def test_a_users_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def command(argv: list[str]) -> int:
        raise DfPolicyError(f"expected a recording, got {argv[0]}")

    assert cli.run(command, ["x"]) == cli.EXIT_ERROR
    captured = capsys.readouterr()
    assert captured.err == "df_policy: expected a recording, got x\n"
    assert captured.out == ""


def test_a_commands_own_exit_code_is_passed_on() -> None:
    assert cli.run(lambda argv: len(argv), ["a", "b", "c"]) == 3


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda _: 1 // 0, [])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_runs_the_commands_cleanup(number: signal.Signals, code: int) -> None:
    program = """if True:
        import sys, time
        from df_policy import cli
        def command(argv):
            try:
                print("ready", flush=True)
                time.sleep(60)
            finally:
                print("cleaned", flush=True)
        sys.exit(cli.run(command, []))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out == "cleaned\n"
    assert "Traceback" not in err


def test_the_handler_of_sigterm_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli.run(lambda _: 0, [])
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m df_policy --help | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
