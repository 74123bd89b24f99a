"""A mistake on the command line is answered in one line, with what was probably meant."""

import pytest

from df_policy.commands import info, ship
from df_policy.commands.options import Options
from df_policy.teleop import record


def parser():
    options = Options(prog="tool")
    options.add_argument("task", choices=("fruit_swap", "fold"))
    options.add_argument("--episodes", type=int, help="as --episode-count elsewhere")
    options.add_argument("--matrix", choices=("pyramid", "autoregressive"))
    return options


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fold --episods 3", "unknown option --episods; did you mean '--episodes'?"),
        ("fold --episods=3", "unknown option --episods; did you mean '--episodes'?"),
        ("fold --episode 3", "unknown option --episode; did you mean '--episodes'?"),
        ("fold --xyz", "unknown option --xyz; --help shows all"),
        ("fold -q", "unknown option -q; --help shows all"),
        ("fold more", "unexpected argument 'more'; --help shows what is expected"),
        ("fruitswap", "did you mean 'fruit_swap'?"),
        ("fold --matrix pyramd", "did you mean 'pyramid'?"),
        ("fold --matrix 7", "invalid choice: '7'"),
        ("fold --episodes many", "argument --episodes: invalid int value: 'many'"),
        ("", "the following arguments are required: task"),
    ],
)
def test_a_mistake_is_one_line_with_what_was_meant(line, message, capsys):
    with pytest.raises(SystemExit) as ending:
        parser().parse_args(line.split())
    assert ending.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("tool: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_what_is_right_is_taken():
    chosen = parser().parse_args(["fold", "--episodes", "3"])
    assert (chosen.task, chosen.episodes, chosen.matrix) == ("fold", 3, None)


@pytest.mark.parametrize(
    ("parse", "line", "option"),
    [
        (record.main, "--episods 3", "--episodes"),
        (record.main, "--worker 3", "--workers"),
        (ship.main, "run name --replase", "--replace"),
        (info.main, "--hepl", "--help"),
    ],
)
def test_commands_name_the_nearest_option(parse, line, option, capsys):
    with pytest.raises(SystemExit) as ending:
        parse(line.split())
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert f"did you mean {option!r}?" in error
    assert error.count("\n") == 1
