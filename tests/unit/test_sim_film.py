"""Pictures for people: they can be decoded, and the plan lies where the tool is."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from df_policy.errors import DfPolicyError
from df_policy.sim.cameras import PersonView
from df_policy.sim.film import mosaic, render_film, snapshot_png, write_film
from df_policy.sim.tasks import find
from df_policy.sim.tasks.task import HOME
from df_policy.sim.world import World

SIZE = (120, 160)


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.reset(0)
    return made


def test_a_film_holds_one_picture_per_snapshot(world: World, tmp_path: Path) -> None:
    plan = HOME.position_m + np.linspace(0.0, 0.1, 5)[:, None]
    path = tmp_path / "film.mp4"
    moment = world.snapshot()
    render_film([moment] * 3, [plan, None, plan], path, captions="episode 0", size=SIZE)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 3
    assert pictures[0].shape == (*SIZE, 3)
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 50


def test_a_picture_shows_plan_and_caption(world: World, tmp_path: Path) -> None:
    plain, drawn = tmp_path / "plain.png", tmp_path / "drawn.png"
    snapshot_png(world.snapshot(), plain, size=SIZE)
    plan = HOME.position_m + np.linspace(0.0, 0.1, 5)[:, None]
    snapshot_png(world.snapshot(), drawn, plan=plan, caption="episode 0", size=SIZE)
    first, second = cv2.imread(str(plain)), cv2.imread(str(drawn))
    assert first.shape == (*SIZE, 3)
    assert first.std() > 10.0
    assert (first != second).any(axis=2).sum() > 100


def test_points_are_projected_where_they_are_seen(world: World) -> None:
    view = PersonView(world.model, (360, 480))
    picture = view.render(world.data).astype(int)
    view.close()
    column, row = np.round(view.project(world.fruits_m()["apple"][None])[0]).astype(int)
    red, green, blue = picture[row, column]
    assert red > 90
    assert red > 2 * max(green, blue)


def test_points_behind_the_camera_have_no_pixel(world: World) -> None:
    behind = PersonView(world.model).project(np.array([[5.0, -5.0, 3.0]]))
    assert np.isnan(behind).all()


def test_lists_of_different_length_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(DfPolicyError, match="as many plans"):
        render_film([world.snapshot()], [], tmp_path / "film.mp4")


@pytest.mark.parametrize("name", ["fruit_swap_anywhere", "fruit_order"])
def test_a_film_shows_each_episode_as_it_looked(name: str, tmp_path: Path) -> None:
    stage = World(find(name))
    view = PersonView(stage.model, SIZE)
    stage.reset(1)
    moment, live = stage.snapshot(), view.render(stage.data).astype(int)
    stage.reset(2)
    other = view.render(stage.data).astype(int)
    view.close()
    snapshot_png(moment, tmp_path / "moment.png", size=SIZE, task=name)
    drawn = cv2.imread(str(tmp_path / "moment.png"))[..., ::-1].astype(int)
    assert np.abs(drawn - live).max() <= 2
    assert np.abs(drawn - other).max() > 50


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (100, 60), (6, 8)])
def test_pictures_of_a_camera_and_of_its_decoder_fit_side_by_side(
    size: tuple[int, int], tmp_path: Path
) -> None:
    whole = np.full((*size, 3), 200, np.uint8)
    half = np.full((size[0] // 2, size[1] // 2, 3), 150, np.uint8)
    square = np.zeros((10, 10, 3), np.uint8)
    sheet = mosaic([[whole, half], [square, square]], ["seen", "imagined"], "seed 3")
    factor = 256 // size[0]
    for shade in (200, 150):
        assert (sheet == shade).all(-1).sum() == factor**2 * size[0] * size[1]
    plain = mosaic([[whole, half], [square, square]], ["", ""], "")
    assert (sheet != plain).any(-1)[:32].any()
    assert (sheet != plain).any(-1)[-32:].any()
    path = tmp_path / "film.mp4"
    write_film([sheet, plain], sheet.shape[:2], path, fps=5)
    with av.open(str(path)) as container:
        assert len(list(container.decode(container.streams.video[0]))) == 2
