"""Record, train, resume, evaluate: the commands of the README on the real simulator, in small."""

import json
import subprocess
import sys

import pytest

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
    assert "other settings" in run(*again, "--resume", "--run.seed=7", code=1)
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
    assert figures["seeds"] == [3, 4]
    assert figures["plan_latency_ms"].keys() == {"p50", "p99"}
    assert figures["config"]["sampler"]["horizon"] == 1
    assert figures["versions"]["torch"]
    assert film.stat().st_size > 10_000


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
