"""The picture of what the cameras see: as many rows and columns as were asked for."""

import cv2
import numpy as np
import pytest

from df_policy.cli import main


@pytest.mark.parametrize(("task", "width"), [("fruit_swap", 64), ("fruit_swap_anywhere", 80)])
def test_a_row_for_each_choice_and_a_column_for_each_episode(task, width, tmp_path):
    out = tmp_path / "looks.png"
    rows = ["--perturb", "clean", "--perturb", "domain"]
    assert main(["looks", "--task", task, *rows, "--episodes", "3", "--out", str(out)]) == 0
    picture = cv2.imread(str(out))[::2, ::2]
    height = (48 if task == "fruit_swap_anywhere" else 64) + 64
    assert picture.shape == (2 * height, 3 * width, 3)
    clean, other = picture[:height, :64], picture[height:, :64]
    assert np.abs(clean.astype(int) - other).mean() > 2.0


def test_a_disturbance_that_there_is_not_is_refused(tmp_path, capsys):
    assert main(["looks", "--perturb", "domian", "--out", str(tmp_path / "x.png")]) == 1
    assert "did you mean 'domain'" in capsys.readouterr().err
