"""The figures of the hardware guide are what the command draws, and small."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from df_policy import cli
from df_policy.commands.figures import FIGURES

FOLDER = Path(__file__).resolve().parents[2] / "df_policy" / "hardware" / "figures"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    assert cli.main(["figures", "--out", str(folder)]) == 0
    return folder


def test_the_guide_shows_all_figures_and_no_other():
    guide = (FOLDER.parent / "README.md").read_text()
    names = {f"{name}.png" for name in FIGURES}
    assert names == {path.name for path in FOLDER.iterdir()}
    assert all(f"](figures/{name})" in guide for name in names)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_the_guide_is_what_is_drawn_today(drawn, name):
    kept, fresh = (cv2.imread(str(where / f"{name}.png")) for where in (FOLDER, drawn))
    assert kept.shape == fresh.shape
    assert np.abs(kept.astype(float) - fresh).mean() < 4.0  # other drivers draw a little otherwise
    assert fresh.std() > 10.0
