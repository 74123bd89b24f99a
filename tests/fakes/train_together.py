"""A small training as one of the processes that torchrun starts; FOLDER takes what it made."""

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

from training_data import TINY, make_grasps

from df_policy.sharing import joined
from df_policy.train import Hooks, StoppedError, Training

CONFIG = replace(
    TINY,
    encoder_fit=replace(TINY.encoder_fit, steps=12, location_weight=1.0),
    policy_fit=replace(TINY.policy_fit, steps=24),
)
STOP = ("policy", 13)


def main(folder: Path) -> None:
    losses: list[float] = []
    with joined("cpu") as share:
        stop = threading.Event()

        def watch(stage, step, _of, values):
            losses.append(values["loss"])

        def last_one_stops(stage, step, _of, _values):
            if (stage, step) == STOP and share.rank == share.world - 1:
                stop.set()

        def train(name, **hooks):
            run = Hooks(share=share, **hooks)
            Training(make_grasps(), CONFIG, folder / name, {}, run).run()

        train("whole", on_step=watch)
        try:
            train("parts", on_step=last_one_stops, stop=stop)
        except StoppedError:
            train("parts")
        else:
            raise RuntimeError("expected all processes to stop")
        (folder / f"losses_{share.rank}.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
