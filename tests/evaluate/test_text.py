import math
import random

import numpy as np
import pytest
import torch

from facelm.errors import FacelmError
from facelm.evaluate import text

WORDS = "she smiles nods slowly then looks up and down her brows rise while the head turns left right".split()


def sentences(count: int, seed: int, longest: int = 12) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(2, longest))) for _ in range(count)]


def corpus(seed: int, count: int = 40) -> tuple[list[str], list[list[str]]]:
    references = [sentences(random.Random(seed + i).randint(1, 4), seed * 100 + i) for i in range(count)]
    return sentences(count, seed + 1), references


@pytest.mark.parametrize("seed", range(3))
def test_cider_is_what_pycocoevalcap_computes(seed):
    from pycocoevalcap.cider.cider import Cider

    predicted, references = corpus(seed)
    theirs, _ = Cider().compute_score(dict(enumerate(references)), {i: [t] for i, t in enumerate(predicted)})
    assert text.cider(predicted, references).value == pytest.approx(theirs, rel=1e-9)


def test_cider_of_one_clip_is_zero_by_construction():
    assert text.cider(["she smiles"], [["she smiles"]]).value == 0
    assert text.cider(["she smiles a lot", "he nods"], [["she smiles a lot"], ["he nods"]]).value > 5


@pytest.mark.parametrize("seed", range(3))
def test_greedy_matching_is_what_bert_score_computes(seed):
    from bert_score.utils import greedy_cos_idf

    rng = np.random.default_rng(seed)
    own, true = (rng.normal(size=(n, 8)).astype(np.float32) for n in (7, 5))
    own, true = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (own, true))

    def theirs(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        weights = torch.ones(1, len(rows))
        weights[0, [0, -1]] = 0
        return torch.tensor(rows)[None], torch.ones(1, len(rows)), weights

    _, _, f1 = greedy_cos_idf(*theirs(true), *theirs(own))
    assert text._greedy(own, true) == pytest.approx(float(f1), abs=1e-6)


def test_bleu_and_rouge_by_hand():
    scores = text.captions(["She smiles then nods.", "He looks up"], [["she smiles, then nods"], ["he looks up now"]])
    assert scores["BLEU-1"].value > 60
    assert scores["ROUGE-L"].value == pytest.approx((1 + 2 * 1 * 0.75 / 1.75) / 2)
    one = text.captions(["she smiles then she nods"], [["she smiles then she nods"]])
    assert one["BLEU-4"].value == pytest.approx(100)
    assert math.isnan(one["BLEU-4"].low)


def test_short_captions_have_no_bleu_4_and_the_lengths_are_told():
    scores = text.captions(["she smiles now", "he nods twice"], [["she smiles now"], ["he nods twice"]])
    assert scores["BLEU-4"].value == 0
    assert "3.0 words on average, references 3.0" in scores["BLEU-4"].note


def test_several_references_are_all_used():
    both = text.captions(["she nods", "he smiles"], [["he turns away", "she nods"], ["he smiles"]])
    assert both["ROUGE-L"].value == 1


def test_empty_captions_and_other_alphabets_are_told():
    scores = text.captions(["", "微笑 点头", "…"], [["she smiles"], ["she nods"], ["he waits"]])
    note = scores["CIDEr-D"].note
    assert "2 of 3 captions are empty" in note
    assert "different alphabets" in note


def test_the_interval_holds_the_value_and_two_runs_are_equal():
    predicted, references = corpus(5)
    first, second = text.captions(predicted, references), text.captions(predicted, references)
    assert {n: (s.value, s.low) for n, s in first.items()} == {n: (s.value, s.low) for n, s in second.items()}
    for name in ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D"):
        assert first[name].low < first[name].value < first[name].high


def test_bert_score_of_an_encoder():
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = BertTokenizerFast(vocab=vocabulary)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
    ).eval()
    predicted = ["she smiles", "", "she nods slowly"]
    references = [["she smiles"], ["she nods"], ["the head turns left", "she nods slowly"]]
    score = text.captions(predicted, references, (tokenizer, model))["BERTScore"]
    assert score.value == pytest.approx(2 / 3, abs=1e-5)
    assert "BertModel" in score.formula


def test_wrong_input_is_refused():
    with pytest.raises(FacelmError, match="1 captions for 2 clips"):
        text.captions(["a"], [["a"], ["b"]])
    with pytest.raises(FacelmError, match="clip 1 has no reference caption"):
        text.captions(["a", "b"], [["a"], [" "]])
