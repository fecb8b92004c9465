import json

import numpy as np
import pytest
import torch
from tiny_bases import KINDS
from transformers import AutoModelForCausalLM, AutoTokenizer

from facelm.errors import FacelmError
from facelm.lm.vocabulary import Vocabulary

VOCABULARY = Vocabulary((("left", 8), ("right", 8), ("head", 5)), "abc")
NAMED = Vocabulary((("left_upper", 8), ("left", 8), ("head", 5)), "abc")


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(str(folder))


def codes(steps=7, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, steps) for _, size in VOCABULARY.streams], axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cues", [None, [(0, i) for i in range(7)]])
def test_string_ids_and_codes_are_the_same_motion(base, kind, cues):
    model, tokenizer = load(base(kind))
    VOCABULARY.extend(model, tokenizer)
    ids = VOCABULARY.ids(tokenizer)
    text = VOCABULARY.motion_text(codes(), cues)
    assert tokenizer.encode(text, add_special_tokens=False) == ids.motion(codes(), cues).tolist()
    assert tokenizer.decode(ids.motion(codes(), cues), skip_special_tokens=True) == text
    assert (VOCABULARY.parse(text) == codes()).all()
    assert (ids.codes(ids.motion(codes(), cues)) == codes()).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_extending_keeps_old_rows_and_ties_and_pads_to_64(base, kind, tied):
    model, tokenizer = load(base(kind, tied))
    before = model.get_input_embeddings().weight.detach().clone()
    had = len(tokenizer)
    new = VOCABULARY.extend(model, tokenizer)
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert new == list(range(had, len(tokenizer)))
    assert torch.equal(table[:had], before[:had])
    assert len(table) % 64 == 0 and len(table) >= len(tokenizer) and len(head) == len(table)
    assert (table.data_ptr() == head.data_ptr()) == tied
    assert model.config.vocab_size == len(table)
    assert table[new].unique(dim=0).shape[0] == len(new)  # no two tokens start equal
    assert VOCABULARY.extend(model, tokenizer) == []  # a second time changes nothing


def test_a_tokenizer_that_is_saved_keeps_the_tokens(base, tmp_path):
    model, tokenizer = load(base())
    VOCABULARY.extend(model, tokenizer)
    tokenizer.save_pretrained(str(tmp_path))
    again = AutoTokenizer.from_pretrained(str(tmp_path))
    assert again.get_vocab() == tokenizer.get_vocab()
    token = again.added_tokens_decoder[VOCABULARY.ids(again).motion_start]
    assert not token.special and not token.normalized


def test_rows_of_codes_start_from_the_codebook(base):
    book = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    rows = []
    for _ in range(2):
        model, tokenizer = load(base())
        VOCABULARY.extend(model, tokenizer, {"left": book, "right": book, "head": torch.randn(5, 4)})
        ids = VOCABULARY.ids(tokenizer)
        table = model.get_input_embeddings().weight.detach()
        rows.append([table[start : start + 8] for start in ids.offsets[:2]])
    (left, right), again = rows
    assert torch.equal(left, again[0])  # the same every time
    near = torch.cdist(book, book).flatten()
    for stream in (left, right):  # codes that are near stay near
        assert torch.corrcoef(torch.stack([near, torch.cdist(stream, stream).flatten()]))[0, 1] > 0.8
    assert torch.allclose(left - left.mean(0), right - right.mean(0), atol=0.3 * left.std().item())
    old = table[: min(ids.offsets) - 70]
    assert 0.3 < (left.std() / old.std()).item() < 3


def test_a_codebook_of_another_size_is_refused(base):
    model, tokenizer = load(base())
    with pytest.raises(FacelmError, match="stream 'left' has 7 entries"):
        VOCABULARY.extend(model, tokenizer, {"left": torch.randn(7, 4)})


@pytest.mark.parametrize(
    "text",
    [
        "<|left_0|><|right_0|><|head_0|>",
        "<|motion|><|left_0|><|right_0|><|/motion|>",
        "<|motion|><|right_0|><|left_0|><|head_0|><|/motion|>",
        "<|motion|><|left_0|><|right_0|><|head_5|><|/motion|>",
        "<|motion|><|left_0|>x<|right_0|><|head_0|><|/motion|>",
        "<|motion|><|/motion|>",
    ],
)
def test_malformed_strings_are_refused(text):
    with pytest.raises(FacelmError):
        VOCABULARY.parse(text)


def test_codes_out_of_range_and_ids_out_of_order_are_refused(base):
    model, tokenizer = load(base())
    VOCABULARY.extend(model, tokenizer)
    ids = VOCABULARY.ids(tokenizer)
    with pytest.raises(FacelmError, match="code 8 at step 0 of stream 1"):
        ids.motion(np.array([[0, 8, 0]]))
    good = ids.motion(codes())
    with pytest.raises(FacelmError):
        ids.codes(np.concatenate([good[:1], good[2:3], good[1:2], good[3:]]))
    with pytest.raises(FacelmError):
        ids.codes(good[:-1])


def test_json_round_trip_and_damage():
    assert Vocabulary.from_dict(json.loads(json.dumps(VOCABULARY.to_dict()))) == VOCABULARY
    with pytest.raises(FacelmError, match="damaged"):
        Vocabulary.from_dict({"streams": [["left", 8]]})


def test_a_tokenizer_without_the_tokens_is_refused(base):
    with pytest.raises(FacelmError, match="lacks"):
        VOCABULARY.ids(load(base())[1])


def test_stream_names(base):
    text = NAMED.motion_text(codes(), [(1, 2)] * 7)
    assert text.startswith("<|motion|><|cue_1_2|><|left_upper_")
    assert (NAMED.parse(text) == codes()).all()
    for streams in ((), (("a", 3), ("a", 3)), (("Left", 3),), (("cue", 3),), (("left_1", 3),), (("left", 0),)):
        with pytest.raises(FacelmError, match="stream"):
            Vocabulary(streams, "abc")
