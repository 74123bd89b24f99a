"""Record, train, resume, evaluate: the commands of the README on the real simulator, in small."""

import json
import signal
import subprocess
import sys
import time

import pytest

from df_policy.data.reader import EpisodeStore
from df_policy.sim.disturbances import SUITES

pytestmark = pytest.mark.slow


def run(*words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "swap.zarr"
    run("df_policy.teleop.record", "--device=scripted", "--episodes=2", f"--out={path}")
    return path


@pytest.fixture(scope="module")
def trained(recording, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "run"
    run("df_policy", "train", f"--data={recording}", f"--out={out}", "--preset=tiny")
    return out


def test_a_run_leaves_a_checkpoint_logs_and_its_state(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"checkpoint.json", "model.safetensors", "run.json", "logs", "state"} <= names
    assert not list(trained.rglob("*.pkl"))
    about = json.loads((trained / "checkpoint.json").read_text())["about"]
    assert about["episodes"] == 2
    assert about["step"] == 20


def test_nothing_is_overwritten_and_a_finished_run_resumes_to_itself(recording, trained):
    again = ("df_policy", "train", f"--data={recording}", f"--out={trained}", "--preset=tiny")
    before = (trained / "model.safetensors").read_bytes()
    assert "add --resume" in run(*again, code=1)
    run(*again, "--resume")
    assert "run.seed = 0" in run(*again, "--resume", "--run.seed=7", code=1)
    assert (trained / "model.safetensors").read_bytes() == before


def test_an_evaluation_writes_its_figures_and_its_film(trained, tmp_path):
    result, film = tmp_path / "result.json", tmp_path / "swap.mp4"
    said = run(
        *("df_policy", "evaluate", trained, "--episodes=2", "--workers=2", "--seed=3"),
        *(f"--json={result}", f"--film={film}", "--film-episodes=1", "--horizon=1"),
    )
    assert "Wilson" in said
    figures = json.loads(result.read_text())
    assert figures["episodes"] == 2
    assert figures["task"] == "fruit_swap"
    assert figures["seeds"] == [3, 4]
    assert figures["plan_latency_ms"].keys() == {"p50", "p99"}
    assert figures["config"]["sampler"]["horizon"] == 1
    assert figures["versions"]["torch"]
    assert film.stat().st_size > 10_000


def test_a_policy_is_evaluated_on_the_task_that_it_was_trained_for(trained, tmp_path):
    recording, run_folder, result = (tmp_path / name for name in ("a.zarr", "run", "a.json"))
    words = (
        "--device=scripted",
        "--task=fruit_swap_regrasp",
        "--episodes=2",
        f"--out={recording}",
    )
    run("df_policy.teleop.record", *words)
    run("df_policy", "train", f"--data={recording}", f"--out={run_folder}", "--preset=tiny")
    words = ("--episodes=1", "--workers=1", f"--json={result}")
    run("df_policy", "evaluate", run_folder, *words)
    assert json.loads(result.read_text())["task"] == "fruit_swap_regrasp"
    run("df_policy", "evaluate", trained, *words, "--task=fruit_swap_regrasp")
    assert json.loads(result.read_text())["task"] == "fruit_swap_regrasp"
    said = run("df_policy", "evaluate", trained, *words, "--task=fruit_cicle", code=1)
    assert "did you mean 'fruit_cycle'" in said


def test_a_suite_leaves_a_table_a_plot_and_a_file_that_is_gone_on_with(trained, tmp_path):
    result, plot = tmp_path / "suite.json", tmp_path / "suite.png"
    words = ("df_policy", "evaluate", trained, "--suite=robustness", "--episodes=1", "--seed=3")
    words = (*words, "--workers=2", f"--json={result}")
    run(*words)
    whole = json.loads(result.read_text())
    done = dict(whole["conditions"])
    assert done.keys() == set(SUITES["robustness"])
    for name in ("front_lost", "camera_frozen", "distractor", "action_lost", "delay:300"):
        assert done[name]["acted"] == {name: 1}
    assert plot.read_bytes().startswith(b"\x89PNG")
    for name in ("colour", "delay:500"):
        del whole["conditions"][name]
    result.write_text(json.dumps(whole))
    plot.unlink()
    said = run(*words, f"--film={tmp_path / 'played.mp4'}", "--film-episodes=1")
    again = json.loads(result.read_text())["conditions"]
    for name, one in done.items():
        # What was there is not played again: its timings, which always differ, are the same.
        timed = again[name]["plan_latency_ms"] == one["plan_latency_ms"]
        assert timed == (name not in ("colour", "delay:500"))
        assert again[name]["solved"] == one["solved"]
        assert name in said
    assert plot.is_file()
    assert (tmp_path / "played.mp4").stat().st_size > 10_000


def test_a_run_is_not_resumed_on_another_recording(trained, tmp_path):
    other = tmp_path / "other.zarr"
    words = ("--device=scripted", "--episodes=2", "--seed=77", f"--out={other}")
    run("df_policy.teleop.record", *words)
    again = ("df_policy", "train", f"--data={other}", f"--out={trained}", "--preset=tiny")
    assert "another recording" in run(*again, "--resume", code=1)


def test_a_checkpoint_of_another_robot_is_refused_in_one_line(trained, tmp_path):
    for name in ("model.safetensors", "checkpoint.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    about = json.loads((tmp_path / "checkpoint.json").read_text())
    about["robot"]["joint_names"][0] = "elbow"
    (tmp_path / "checkpoint.json").write_text(json.dumps(about))
    said = run("df_policy", "evaluate", tmp_path, "--episodes=1", code=1)
    assert "elbow" in said
    assert "Traceback" not in said


def test_an_evaluation_that_could_not_be_stored_is_not_begun(trained, tmp_path):
    said = run("df_policy", "evaluate", trained, "--episodes=1", f"--json={tmp_path}", code=1)
    assert "name a file" in said
    assert "solved" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_says_how_to_go_on_and_does(recording, tmp_path, number):
    words = ("train", f"--data={recording}", f"--out={tmp_path / 'run'}", "--preset=tiny")
    words = (*words, "--policy-fit.steps=100000")
    with subprocess.Popen(
        [sys.executable, "-m", "df_policy", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "checkpoint.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number
    assert "--resume" in said
    state = tmp_path / "run" / "state" / "policy.safetensors"
    assert state.is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "nothing_here"), "no checkpoint 'nothing_here'"),
        (("train", "--data=missing.zarr", "--out=never"), "missing.zarr"),
        (("train", "--data=a", "--out=b", "--preset=fruit_swop"), "did you mean 'fruit_swap'"),
        (("trian",), "did you mean 'train'"),
    ],
)
def test_a_mistake_gets_one_line_and_no_traceback(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "df_policy", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_is_answered_with_the_nearest(tmp_path):
    words = ("train", "--data=a", "--out=b", "--policy-fit.step=3")
    done = subprocess.run(
        [sys.executable, "-m", "df_policy", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--policy-fit.steps" in done.stdout + done.stderr


def test_a_recording_does_not_go_on_with_other_mishaps(tmp_path):
    out = tmp_path / "a.zarr"
    words = ("--task=fruit_swap_regrasp", f"--out={out}", "--workers=1")
    run("df_policy.teleop.record", *words, "--episodes=1", "--perturb=image_noise")
    said = run("df_policy.teleop.record", *words, "--episodes=2", code=1)
    assert "disturbed by image_noise" in said
    said = run("df_policy.teleop.record", *words, "--episodes=2", "--perturb=delay:300", code=1)
    assert "got a delay" in said
    assert len(EpisodeStore.open(out)) == 1
