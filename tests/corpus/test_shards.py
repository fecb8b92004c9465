"""Corpus folders: bounded shards that plain `datasets` loads too, older corpora, and what is wrong with others."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelm.corpus import load_corpus, load_for_training, motion, shards, synthesise, write_corpus
from facelm.corpus.schema import SINCE_SHARDS, features, schema, table
from facelm.corpus.shards import CorpusWriter
from facelm.errors import FacelmError, MissingFileError


def row(index, frames=30, **more):
    values = np.full((frames, 55), index / 1000, np.float32)
    words = {"plan": "0.0-1.2 s nod", "facts": [], "prompts": ["Nod."], "captions": ["He nods."], "questions": []}
    known = {"id": f"clip-{index:04d}", "category": "head", "seconds": frames / 25, "fps": 25.0, "layout": "arkit"}
    return {**known, "values": values, **words, **more}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "c"
    sound = {"bytes": b"fLaC...", "path": "clip-0001.flac"}
    rows = [row(0), row(1, audio=sound, weight=2.0, take="t", begin=1.5), row(2, frames=50)]
    write_corpus({"train": rows, "test": [row(3)]}, folder)
    return folder


def test_rows_come_back_as_written(corpus):
    rows = load_corpus(corpus, "train")
    assert rows.features == features()
    assert [len(motion(each)) for each in rows] == [30, 30, 50]
    assert np.allclose(motion(rows[1]).values, 0.001)
    assert rows[1]["audio"] == {"bytes": b"fLaC...", "path": "clip-0001.flac"} and rows[0]["audio"] is None
    assert (rows[1]["weight"], rows[1]["take"], rows[1]["begin"]) == (2.0, "t", 1.5) and rows[0]["weight"] is None


def test_the_folder_loads_with_plain_datasets(corpus, tmp_path):
    from datasets import Audio, load_dataset

    plain = load_dataset("parquet", data_files=str(corpus / "train-*.parquet"), split="train", cache_dir=str(tmp_path))
    assert plain.features["audio"] == Audio(decode=False) and plain[1]["audio"]["bytes"] == b"fLaC..."
    folder = load_dataset(str(corpus), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in folder.items()} == {"train": 3, "test": 1}


def test_large_splits_are_mapped_not_held(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(shards, "IN_MEMORY", 0)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    rows = load_corpus(corpus, "train")
    assert rows.cache_files and len(rows) == 3 and rows.features["audio"] == features()["audio"]
    assert motion(rows[2]).seconds == 2.0


def test_shards_are_bounded_and_numbered(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_CLIPS", 20)
    monkeypatch.setattr(shards, "GROUP_CLIPS", 10)
    with CorpusWriter(tmp_path) as writer:
        for first in range(0, 45, 5):
            writer.write("train", table([row(index) for index in range(first, first + 5)]))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["train-00000.parquet", "train-00001.parquet", "train-00002.parquet"]
    assert [pq.ParquetFile(tmp_path / name).num_row_groups for name in files] == [2, 2, 1]
    assert load_corpus(tmp_path, "train")["id"] == [f"clip-{index:04d}" for index in range(45)]
    assert writer.note()["clips"] == {"train": 45, "validation": 0, "test": 0}
    (tmp_path / files[1]).unlink()
    with pytest.raises(FacelmError, match="train-00001.parquet is missing; copy the corpus again"):
        load_corpus(tmp_path, "train")


def test_row_groups_are_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_BYTES", 100_000)
    with CorpusWriter(tmp_path) as writer:
        writer.write("train", table([row(index, frames=200) for index in range(20)]))
    file = pq.ParquetFile(tmp_path / "train-00000.parquet")
    assert file.num_row_groups > 5
    assert max(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)) * 200 * 55 * 4 < 150_000


def test_corpora_of_one_file_a_split_are_read_with_nulls_in_new_columns(corpus, tmp_path):
    old = pq.read_table(corpus / "train-00000.parquet").drop_columns(list(SINCE_SHARDS))
    pq.write_table(old.replace_schema_metadata(None), tmp_path / "train.parquet")
    rows = load_corpus(tmp_path, "train")
    assert set(rows.column_names) == set(schema().names) and rows["weight"] == [None] * 3
    assert motion(rows[0]) == motion(load_corpus(corpus, "train")[0])
    shutil.copy(corpus / "train-00000.parquet", tmp_path)
    with pytest.raises(FacelmError, match="they are of two corpora"):
        load_corpus(tmp_path, "train")


def test_what_is_no_corpus_is_named(corpus, tmp_path):
    with pytest.raises(MissingFileError, match="has no validation split, only train and test"):
        load_corpus(corpus, "validation")
    with pytest.raises(MissingFileError, match="facelm corpus synth"):
        load_corpus(tmp_path, "train")
    with pytest.raises(FacelmError, match="unknown split 'dev'"):
        load_corpus(corpus, "dev")
    good = pq.read_table(corpus / "train-00000.parquet")
    pq.write_table(good.drop_columns(["plan"]), tmp_path / "train.parquet")
    with pytest.raises(FacelmError, match="lacks the columns plan"):
        load_corpus(tmp_path, "train")
    wrong = good.set_column(good.column_names.index("prompts"), "prompts", pa.array(["a", "b", "c"]))
    pq.write_table(wrong, tmp_path / "train.parquet")
    with pytest.raises(FacelmError, match="column prompts holds string and should hold list"):
        load_corpus(tmp_path, "train")


def test_wrong_rows_are_named(tmp_path):
    with pytest.raises(FacelmError, match="no column mood"):
        write_corpus({"train": [row(0, mood="good")]}, tmp_path / "a")
    with pytest.raises(FacelmError, match="column prompts"):
        write_corpus({"train": [row(0, prompts=[3])]}, tmp_path / "a")
    with pytest.raises(FacelmError, match="column values: values must be numbers of shape"):
        write_corpus({"train": [row(0) | {"values": [1.0, 2.0]}]}, tmp_path / "a")
    with pytest.raises(FacelmError, match="unknown split 'dev'"):
        write_corpus({"dev": [row(0)]}, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_note_names_versions_and_the_fingerprint_of_the_contents(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        synthesise(0.01, seed, tmp_path / name)
    notes = [json.loads((tmp_path / name / "corpus.json").read_text()) for name in "abc"]
    assert notes[0] == notes[1] and notes[0]["fingerprint"] != notes[2]["fingerprint"]
    assert {"facelm", "python", "numpy", "pyarrow"} <= notes[0]["versions"].keys()
    assert sum(shard["clips"] for shard in notes[0]["shards"]) == sum(notes[0]["clips"].values())


def test_corpora_without_a_validation_split_hold_clips_out(corpus, tmp_path):
    write_corpus({"train": [row(index) for index in range(45)]}, tmp_path / "a")
    train, held = load_for_training(tmp_path / "a")
    assert len(train) == 42 and held["id"] == ["clip-0000", "clip-0020", "clip-0040"]
    assert not set(train["id"]) & set(held["id"])
    write_corpus({"train": [row(0)], "validation": [row(1)]}, tmp_path / "b")
    assert [split["id"] for split in load_for_training(tmp_path / "b")] == [["clip-0000"], ["clip-0001"]]
    write_corpus({"train": [row(0)]}, tmp_path / "c")
    with pytest.raises(FacelmError, match="one clip for training"):
        load_for_training(tmp_path / "c")
