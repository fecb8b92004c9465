"""Files of data sets, damaged at random: takes are read, noted or refused in one sentence, and nothing else happens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import TREES

from facelm.corpus.readers import SkipReport, iterate, load_sound_of, load_take
from facelm.errors import FacelmError


@pytest.fixture(scope="module", params=TREES)
def root(request, tmp_path_factory):
    return TREES[request.param].make(tmp_path_factory.mktemp("data"))


def read(root):
    report = SkipReport()
    takes = []
    try:
        takes = list(iterate(root, report=report))
    except FacelmError as error:
        assert "\n" not in str(error)
    for take in takes:
        try:
            load_take(take)
            load_sound_of(take, 0.5, 0.5)
        except FacelmError as error:
            assert "\n" not in str(error) and str(root) in str(error)
    for remark in report.remarks:
        assert remark.reason and "\n" not in remark.reason


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_damaged_files(root, data):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files), label="file")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole)), label="place")
    junk = data.draw(st.binary(max_size=20) | st.sampled_from([b",", b"\n", b'"', b"nan", b"-1", b"}]", b"\x00" * 9]))
    kept = data.draw(st.sampled_from([0, len(junk), len(whole)]), label="left out")  # inserted, overwritten or cut off
    try:
        path.write_bytes(whole[:place] + junk + whole[place + kept :])
        read(root)
    finally:
        path.write_bytes(whole)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_files_in_each_others_place(root, data):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    one, other = data.draw(st.sampled_from(files)), data.draw(st.sampled_from(files))
    kept = one.read_bytes()
    try:
        one.write_bytes(other.read_bytes())
        read(root)
    finally:
        one.write_bytes(kept)
