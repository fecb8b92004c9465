import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import textgrid

from facelm.corpus.readers.textgrid import Interval, read_textgrid, transcript
from facelm.errors import FacelmError

SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
2
"TextTier"
"marks"
0
1.5
1
0.5
"here"
"IntervalTier"
"words"
0
1.5
3
0
0.5
"say ""yes"""
0.5
1.0
""
1.0
1.5
"3 2.5 times"
'''


def test_short_form_with_quotes_numbers_and_points(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT)
    assert read_textgrid(path) == {
        "words": (Interval(0, 0.5, 'say "yes"'), Interval(0.5, 1.0, ""), Interval(1.0, 1.5, "3 2.5 times"))
    }
    assert transcript(path) == 'say "yes" 3 2.5 times'


def test_praat_writes_utf16(tmp_path):
    path = tmp_path / "a.TextGrid"
    textgrid(path, ["今天", "天气"], 1.0)
    path.write_bytes(path.read_text().encode("utf-16"))
    assert transcript(path) == "今天 天气"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FacelmError, match="cut off"):
        transcript(path)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("abcäéß漢0123 .'<>[]=:", min_size=1, max_size=8), min_size=1, max_size=6))
def test_words_survive(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    textgrid(path, words, 3.0)
    found = read_textgrid(path)
    assert list(found) == ["words", "phones"]
    assert [each.text for each in found["words"]] == [word.strip() for word in words]
    assert found["words"][-1].end == pytest.approx(3.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 700), st.binary(max_size=6))
def test_damage_is_refused_or_read_but_never_crashes(tmp_path_factory, place, junk):
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    textgrid(path, ["one", "two", "three"], 3.0)
    data = path.read_bytes()
    path.write_bytes(data[:place] + junk + data[place + len(junk) :] if junk else data[:place])
    try:
        transcript(path)
    except FacelmError as error:
        assert "a.TextGrid" in str(error)


def test_silences_are_left_out(tmp_path):
    textgrid(tmp_path / "a.TextGrid", ["sp", "hello", "<eps>", "SIL", "you", ""], 3.0)
    assert transcript(tmp_path / "a.TextGrid") == "hello you"


def test_what_is_no_textgrid(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text("hello\n")
    with pytest.raises(FacelmError, match="is no TextGrid"):
        transcript(path)
    with pytest.raises(FacelmError, match="there is no file"):
        transcript(tmp_path / "b.TextGrid")
