"""Cards of built corpora: true figures, the Hub's header, pictures, and what the owner has to fill in."""

import json
import re

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner
from tiny_model import wave

from facelm.cli import main
from facelm.corpus import load_corpus, synthesise, write_corpus
from facelm.corpus.build import build
from facelm.corpus.card import write_card
from facelm.corpus.statistics import ANGLES, statistics
from facelm.errors import FacelmError
from facelm.motion import FaceMotion


@pytest.fixture
def corpus(tmp_path):
    captures = tmp_path / "captures"
    captures.mkdir()
    wave(12.0).save(captures / "anna.csv")
    wave(3.0, layout="livelink").save(captures / "bert.csv")
    soundfile.write(captures / "anna.wav", np.zeros(16_000 * 12), 16_000)
    (captures / "labels.csv").write_text("take,subject\nanna,Anna\nbert,Bert\n")
    (captures / "broken.csv").write_text("Timecode,EyeBlinkLeft\n")
    build([captures], tmp_path / "corpus")
    return tmp_path / "corpus"


def test_figures_are_those_of_the_rows(corpus):
    found, rows = statistics(corpus), load_corpus(corpus, "train")
    assert found.clips["train"] == len(rows) and found.takes["train"] == found.people == 2
    assert found.hours["train"] == pytest.approx(15 / 3600, rel=0.01) and found.heard == pytest.approx(
        12 / 3600, rel=0.01
    )
    assert found.layouts == {"arkit at 25 frames/s": len(rows)}
    assert found.angles[0].sum() == sum(map(len, rows["values"])) and found.moving_heads == len(rows)
    yaw = np.degrees(np.concatenate([np.asarray(v) for v in rows["values"]])[:, 52])
    assert found.angles[0].tolist() == np.histogram(yaw, ANGLES)[0].tolist()


def test_the_card_has_the_hubs_header_and_loads(corpus, tmp_path):
    from datasets import load_dataset
    from huggingface_hub import DatasetCard

    path = write_card(corpus)
    header = yaml.safe_load(path.read_text().split("---")[1])
    assert header["license"] == "other" and header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "train-*.parquet"}]
    assert DatasetCard.load(path).data.pretty_name == "corpus"
    rows = load_dataset(str(corpus), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows[0]["audio"]["bytes"][:4] == b"fLaC"
    pictures = sorted(picture.name for picture in (corpus / "card").iterdir())
    assert pictures == ["actions.png", "durations.png", "emotions.png", "head_pose.png"]
    text = path.read_text()
    assert all(f"card/{picture}" in text for picture in pictures) and "| annotations |" in text
    assert "| captures | takes | 2 |" in text and "1 skipped" in text and "2 people are named" in text
    assert json.loads((corpus / "corpus.json").read_text())["fingerprint"] in text and str(tmp_path) not in text


def test_licence_and_consent_are_asked_for_until_they_are_given(corpus):
    runner = CliRunner()
    told = runner.invoke(main, ["card", "data", str(corpus)])
    assert told.exit_code == 0 and "look for FILL IN, in 2 places" in told.output
    refused = runner.invoke(main, ["card", "data", str(corpus)])
    assert refused.exit_code == 2 and "--overwrite replaces it" in refused.output
    given = ["--license", "cc-by-4.0", "--consent", "Both agreed to research.", "--name", "Two", "--overwrite"]
    told = runner.invoke(main, ["card", "data", str(corpus), *given])
    text = (corpus / "README.md").read_text()
    assert told.exit_code == 0 and "FILL IN" not in told.output + text
    assert "# Two" in text and "Both agreed to research." in text and "license: cc-by-4.0" in text


def test_a_synthesised_corpus_has_nothing_to_fill_in(tmp_path):
    synthesise(0.02, 0, tmp_path / "synth")
    text = write_card(tmp_path / "synth").read_text()
    assert "license: cc0-1.0" in text and "No person is recorded" in text and "FILL IN" not in text
    assert {"train-*.parquet", "test-*.parquet"} <= set(text.replace('"', "").split())


def test_faces_without_arkit_shapes_are_counted_too(tmp_path):
    motion = FaceMotion(np.zeros((30, 56), np.float32), 25, "flame56")
    words = {"plan": "0.0-1.2 s neutral", "facts": [], "prompts": ["Rest."], "captions": ["He rests."], "questions": []}
    row = {"id": "a", "category": "rest", "seconds": 1.2, "fps": 25.0, "layout": "flame56", "values": motion.values}
    write_corpus({"test": [row | words]}, tmp_path / "c")
    found = statistics(tmp_path / "c")
    assert found.layouts == {"flame56 at 25 frames/s": 1} and found.moving_heads == 0
    assert "FILL IN" in write_card(tmp_path / "c").read_text()


def test_folders_without_a_corpus_are_refused(tmp_path):
    with pytest.raises(FacelmError, match="corpus.json"):
        write_card(tmp_path)
    (tmp_path / "corpus.json").write_text("{}")
    with pytest.raises(FacelmError, match="holds no corpus"):
        write_card(tmp_path)


def test_info_tells_what_a_corpus_holds(corpus):
    told = CliRunner().invoke(main, ["info", str(corpus)]).output
    assert "facelm corpus build" in told
    assert re.search(r"clips +\d+ train", told)
    assert "source captures  2 takes" in told
    assert "1 skipped" in told
