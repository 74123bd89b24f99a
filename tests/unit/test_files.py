"""Files appear whole, or what was there stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.files import write_atomically, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r")))
def test_what_is_written_is_read(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("files") / "a.txt"
    write_text(path, "before")
    write_text(path, text)
    assert path.read_text("utf-8") == text
    assert names(path.parent) == ["a.txt"]


def test_the_folder_is_made(tmp_path):
    write_text(tmp_path / "deep" / "er" / "a.txt", "x")
    assert (tmp_path / "deep" / "er" / "a.txt").read_text() == "x"


def test_a_library_that_minds_the_suffix_writes_where_it_should(tmp_path):
    write_atomically(tmp_path / "a.npz", lambda path: np.savez(path, x=np.arange(3)))
    assert names(tmp_path) == ["a.npz"]
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path, failure):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def write(partial):
        partial.write_text("half")
        raise failure

    with pytest.raises((DfPolicyError, KeyboardInterrupt)):
        write_atomically(path, write)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written_is_a_users_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.json"
    with pytest.raises(DfPolicyError, match=r"a\.json, got File exists; make room"):
        write_text(path, "x")


def test_a_folder_in_the_way_is_a_users_error(tmp_path):
    (tmp_path / "a.json" / "b").mkdir(parents=True)
    with pytest.raises(DfPolicyError, match="Is a directory"):
        write_text(tmp_path / "a.json", "x")
    assert names(tmp_path) == ["a.json"]


def test_a_bug_is_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "a", lambda path: 1 // 0)
    assert names(tmp_path) == []
