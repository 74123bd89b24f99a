"""What a training shows and writes: progress, TensorBoard, closed-loop evaluations beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.config import Config, to_json
from df_policy.errors import DfPolicyError
from df_policy.fit_config import RunConfig
from df_policy.processes import die_with_parent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

UNSEEN_SEED = 500_000
"""Episodes of the evaluations during training start here: neither recorded nor tested ones."""
STEPS_BETWEEN_NOTES = 20


class ClosedLoop:
    """Evaluates the newest checkpoint in a process of its own while training goes on."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        """Evaluations of the run in `out`."""
        self._folder, self._out, self._config = out / "evaluations", out, config
        self._process: subprocess.Popen[bytes] | None = None
        self._step = 0

    @property
    def under_way(self) -> bool:
        """Whether one is running or not yet collected."""
        return self._process is not None

    def start(self, step: int) -> None:
        """Begin, unless it is not time or one is still running."""
        every = self._config.evaluate_every
        if every == 0 or step % every or self._process is not None:
            return
        self._folder.mkdir(exist_ok=True)
        self._step = step
        command = [sys.executable, "-m", "df_policy", "evaluate", str(self._out), "--workers=1"]
        command += [f"--episodes={self._config.evaluate_episodes}", f"--seed={UNSEEN_SEED}"]
        command += [f"--json={self._file}", "--film-episodes=0"]
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def _file(self) -> Path:
        return self._folder / f"step_{self._step}.json"

    def result(self) -> tuple[int, dict[str, Any] | None] | None:
        """The step and figures of an evaluation that is done, once; no figures if it failed."""
        if self._process is None or self._process.poll() is None:
            return None
        code, self._process = self._process.returncode, None
        if code or not self._file.is_file():
            return self._step, None
        return self._step, json.loads(self._file.read_text())

    def stop(self) -> None:
        """End one that is running."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class TrainLog:
    """Hears of every step and checkpoint; see `train.Hooks`."""

    def __init__(self, out: Path, config: Config, wandb: str, progress: Progress) -> None:
        """Logs below `out`, and bars on `progress`.

        Raises:
            DfPolicyError: if a Weights & Biases project is named and its package is missing.
        """
        from torch.utils.tensorboard import SummaryWriter

        if wandb:
            _start_wandb(wandb, config)
        self._progress = progress
        self._closed_loop = ClosedLoop(out, config.run)
        self._out = out
        self._writer = SummaryWriter(str(out / "logs"))
        self._bars: dict[str, TaskID] = {}

    def step(self, stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
        """One step was made."""
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=steps, note="")
        if step % STEPS_BETWEEN_NOTES == 0 or step == steps:
            note = f"loss {losses['loss']:.4f}"
            self._progress.update(self._bars[stage], completed=step, note=note)
            self._scalars(stage, losses, step)
            self._collect()
        console = self._progress.console
        if step % STEPS_BETWEEN_LINES == 0 and not console.is_terminal:  # a file shows no bar
            console.print(f"{stage}: step {step} of {steps}, loss {losses['loss']:.4f}")

    def checkpoint(self, step: int, figures: dict[str, float]) -> None:
        """A checkpoint was written."""
        self._scalars("held_out", figures, step)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        self._progress.console.print(f"step {step}: held-out {shown}")
        self._closed_loop.start(step)

    def last_evaluation(self, stop: threading.Event) -> None:
        """Wait for an evaluation under way, unless asked to stop."""
        while self._closed_loop.under_way and not stop.wait(0.2):
            self._collect()

    def close(self) -> None:
        """Flush all logs, and end an evaluation under way."""
        self._closed_loop.stop()
        self._writer.close()

    def _scalars(self, group: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def _collect(self) -> None:
        done = self._closed_loop.result()
        if done is None:
            return
        step, figures = done
        if figures is None:
            log = self._out / "evaluations" / "log.txt"
            self._progress.console.print(f"step {step}: the evaluation failed, see {log}")
            return
        self._scalars("closed_loop", {"success": figures["successes"] / figures["episodes"]}, step)
        failed = ", ".join(f"{count} {reason}" for reason, count in figures["failures"].items())
        solved = f"step {step}: solved {figures['successes']} of {figures['episodes']}"
        self._progress.console.print(f"{solved} ({failed})" if failed else solved)


def _start_wandb(project: str, config: Config) -> None:
    try:
        import wandb
    except ImportError as error:
        raise DfPolicyError(
            "--wandb needs the package wandb: pip install 'df_policy[wandb]'"
        ) from error
    wandb.init(project=project, config=to_json(config), sync_tensorboard=True)


STEPS_BETWEEN_LINES = 500
