"""What holds for every reader, on miniature data sets in their true layouts."""

import pickle

import numpy as np
import pytest
from trees import FRAMES, TREES, curves

from facelm.corpus.readers import (
    READERS,
    SkipReport,
    find_reader,
    iterate,
    load_sound_of,
    load_take,
    reader_named,
)
from facelm.errors import FacelmError, MissingFileError


@pytest.fixture(params=TREES)
def tree(request):
    return TREES[request.param]


@pytest.fixture
def root(tree, tmp_path):
    return tree.make(tmp_path)


def dataset(name: str) -> str:
    return name.split()[0]  # "facegood train" is the second layout of one data set


@pytest.mark.parametrize("name", TREES)
def test_layout_is_recognised_and_gives_the_takes(name, tmp_path):
    root = TREES[name].make(tmp_path)
    report = SkipReport("stop")
    takes = list(iterate(root, report=report))
    assert find_reader(root).NAME == dataset(name)
    assert [take.id for take in takes] == list(TREES[name].ids)
    assert {take.dataset for take in takes} == {dataset(name)}
    assert report.count("skipped") == 0
    assert list(iterate(root)) == takes  # the same again, in the same order


def test_takes_load_with_sound_and_can_be_sent_to_workers(tree, root):
    takes = [pickle.loads(pickle.dumps(take)) for take in iterate(root)]
    for take in takes:
        motion, report = load_take(take)
        assert motion.fps == tree.fps
        assert motion.seconds == pytest.approx(2.0, abs=0.05)
        assert np.ptp(motion.values, axis=0).max() > 0.1
        assert report.dialect
        sound = load_sound_of(take, 0.5, 1.0)
        if take.audio is None:
            assert sound is None
        else:
            assert len(sound.samples) == sound.rate
            assert sound.samples.dtype == np.float32 and np.abs(sound.samples).max() > 0.05


def test_what_was_written_is_what_is_read(tree, root):
    width = {"livelink": 61, "beat_json": 51}.get(tree.write.__name__, 50)
    take = next(take for take in iterate(root) if (root / tree.motion).samefile(take.motion))
    tree.write(root / tree.motion, curves(FRAMES, tree.width, seed=7), tree.fps)
    values = load_take(take)[0].values
    assert len(values) == FRAMES
    if tree.width > 5 and width == 50:  # the expressions come first in every dialect of FLAME
        assert np.allclose(values[:, :50], curves(FRAMES, tree.width, seed=7)[:, :50], atol=1e-6)


def test_every_reader_has_a_tree_or_a_test_of_its_own():
    tested = {dataset(name) for name in TREES} | {"vocaset", "mmface4d"}
    assert {reader.NAME for reader in READERS} == tested
    assert all(reader_named(reader.NAME) is reader for reader in READERS)


def test_unknown_folders_and_names_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="there is no folder"):
        find_reader(tmp_path / "nowhere")
    with pytest.raises(FacelmError, match="none of the data sets"):
        find_reader(tmp_path)
    with pytest.raises(FacelmError, match="did you mean mmhead"):
        find_reader(tmp_path, "mmhaed")
    (tmp_path / "take.csv").write_text("Timecode\n")
    with pytest.raises(FacelmError, match="is a file"):
        find_reader(tmp_path / "take.csv")
    with pytest.raises(FacelmError, match="choose 'stop' or 'skip'"):
        next(iterate(tmp_path, on_error="ignore"))


def test_a_reader_can_be_named(tmp_path):
    root = TREES["mead"].make(tmp_path)
    assert [take.dataset for take in iterate(root, reader="takes")] == ["takes"] * 3
    with pytest.raises(FacelmError, match="holds no take that can be read as beat"):
        list(iterate(root, reader="beat"))


def test_tables_are_no_takes(tree, root):
    for name in ("labels.csv", "subjects.csv"):
        if not (root / name).exists():
            (root / name).write_text("take,syncnet\n" if name == "labels.csv" else "subject,gender\n")
    assert [take.id for take in iterate(root, on_error="stop")] == list(tree.ids)


def test_tables_add_to_any_data_set(tmp_path):
    root = TREES["beat"].make(tmp_path)
    (root / "labels.csv").write_text("take,syncnet,emotion\n1_wayne_0_9_9,3.5,happy\nnobody,1,sad\n")
    (root / "subjects.csv").write_text("subject,gender\n1_wayne,male\n")
    report = SkipReport()
    takes = {take.id: take for take in iterate(root, report=report)}
    assert takes["1_wayne_0_9_9"].extra["syncnet"] == "3.5"
    assert takes["1_wayne_0_9_9"].labels.emotions == ("happy",)
    assert takes["1_wayne_1_1_1"].extra["gender"] == "male"
    assert "gender" not in takes["2_scott_0_65_65"].extra
    assert "labels.csv row 3 names the take 'nobody'" in report.remarks[-1].reason


def test_report_is_a_table(tmp_path):
    report = SkipReport()
    root = TREES["takes"].make(tmp_path / "data")
    take = next(iterate(root))
    report.skip("takes", "a", root / "a.csv", "a.csv is empty")
    report.filtered(take, "it shows the action 'kiss'")
    report.note(take, "there is no sound, but a comma")
    report.write(tmp_path / "skipped.csv")
    lines = (tmp_path / "skipped.csv").read_text().splitlines()
    assert lines[0] == "dataset,take,path,kind,reason"
    assert len(lines) == 4 and lines[3].endswith('note,"there is no sound, but a comma"')
    assert report.reasons() == {"it shows the action 'kiss'": 1}
    assert [report.count(kind) for kind in ("skipped", "filtered", "note")] == [1, 1, 1]
