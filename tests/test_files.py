import os

import pytest

from facelm.errors import FacelmError
from facelm.files import atomic_folder, atomic_path


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "take.csv.gz"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert temporary.name.endswith(".csv.gz") and not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "whole" and os.listdir(path.parent) == ["take.csv.gz"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        (temporary / "a").write_text("1")
        raise RuntimeError
    assert not os.listdir(tmp_path)
    with atomic_folder(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("1")
        assert not path.exists()
    assert (path / "sub" / "a").read_text() == "1" and os.listdir(tmp_path) == ["model"]


def test_a_folder_in_use_keeps_what_is_not_written_again(tmp_path):
    path = tmp_path / "model"
    (path / "sub").mkdir(parents=True)
    (path / "sub" / "mine").write_text("keep")
    (path / "sub" / "a").write_text("old")
    with atomic_folder(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("new")
    assert (path / "sub" / "mine").read_text() == "keep" and (path / "sub" / "a").read_text() == "new"


def test_places_that_cannot_be_written_are_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "x.csv", tmp_path):
        with pytest.raises(FacelmError), atomic_path(place):
            pass
    for place in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(FacelmError), atomic_folder(place):
            pass
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(FacelmError, match="not writable"), atomic_path(tmp_path / "x.csv"):
        pass
