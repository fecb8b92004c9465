"""Metrics of captions against references: BLEU, chrF, ROUGE-L, CIDEr-D and BERTScore.

BLEU and chrF are sacrebleu's, ROUGE-L is Google's (F1, no stemming), CIDEr-D is that of pycocoevalcap without its Java
tokenizer, BERTScore is Zhang et al. (2020) on any encoder of transformers, without rescaling or idf. All compare words,
not facts: what a caption gets right is scored by the facts judge.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.score import Score, Tally

NGRAMS = 4
CIDER_SIGMA = 6.0
_BATCH = 64
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def captions(
    predicted: Sequence[str], references: Sequence[Sequence[str]], encoder: tuple[Any, Any] | None = None
) -> dict[str, Score]:
    """BLEU-1, BLEU-4, chrF, ROUGE-L, CIDEr-D and, with an encoder, BERTScore of captions, by name.

    Args:
        predicted: a caption a clip; empty ones score 0 and are counted in the notes.
        references: one or more for each clip.
        encoder: (tokenizer, model) of transformers for BERTScore.

    Raises FacelmError when the numbers differ, or a clip has no reference.
    """
    if len(predicted) != len(references):
        raise FacelmError(f"{len(predicted)} captions for {len(references)} clips; give one for each")
    if not predicted:
        raise FacelmError("there are no captions to score")
    for index, texts in enumerate(references):
        if not any(text.strip() for text in texts):
            raise FacelmError(f"clip {index} has no reference caption; leave it out or give one")
    note = _remarks(predicted, references)
    scores = [*_sacrebleu(predicted, references, note), _rouge(predicted, references, note)]
    scores.append(cider(predicted, references, note))
    if encoder is not None:
        scores.append(bert_score(predicted, references, *encoder, note=note))
    return {score.name: score for score in scores}


def words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return _WORD.findall(text.lower())


def _remarks(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> str:
    """What a reader of word metrics must know: lengths, empty captions, another alphabet."""
    own = np.mean([len(words(text)) for text in predicted])
    true = np.mean([len(words(text)) for texts in references for text in texts])
    remarks = [f"{own:.1f} words on average, references {true:.1f}"]
    if empty := sum(not words(text) for text in predicted):
        remarks.append(f"{empty} of {len(predicted)} captions are empty")
    letters = [character for text in predicted for character in text if character.isalpha()]
    theirs = [character for texts in references for text in texts for character in text if character.isalpha()]
    if letters and theirs and abs(_latin(letters) - _latin(theirs)) > 0.5:
        remarks.append("captions and references are written in different alphabets")
    return "; ".join(remarks)


def _latin(letters: list[str]) -> float:
    return sum(letter < "\u0250" for letter in letters) / len(letters)


def _sacrebleu(predicted: Sequence[str], references: Sequence[Sequence[str]], note: str) -> list[Score]:
    from sacrebleu.metrics import BLEU, CHRF

    most = max(map(len, references))
    columns = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
    scores = []
    for name, metric, formula in (
        ("BLEU-1", BLEU(max_ngram_order=1, lowercase=True), "sacrebleu BLEU, 1-grams, 13a, lower case, corpus"),
        ("BLEU-4", BLEU(lowercase=True), "sacrebleu BLEU, 1- to 4-grams, 13a, lower case, corpus"),
        ("chrF", CHRF(lowercase=True), "sacrebleu chrF2, lower case, corpus"),
    ):
        # Resampling chrF fails in sacrebleu 2.6 (it adds float32 to float), so chrF has no interval.
        resamples = 1000 if len(predicted) > 1 and name != "chrF" else 1
        result = metric.corpus_score(list(predicted), columns, n_bootstrap=resamples)
        low = high = math.nan
        if resamples > 1:
            low, high = result._mean - result._ci, result._mean + result._ci
        scores.append(Score(name, result.score, low, high, len(predicted), "1", formula, note=note))
    return scores


def _rouge(predicted: Sequence[str], references: Sequence[Sequence[str]], note: str) -> Score:
    from rouge_score.rouge_scorer import RougeScorer

    scorer, tally = RougeScorer(["rougeL"], use_stemmer=False), Tally()
    for text, true in zip(predicted, references, strict=True):
        tally.add(max(scorer.score(reference, text)["rougeL"].fmeasure for reference in true))
    return tally.score("ROUGE-L", "1", "longest common subsequence F1 (rouge-score), best reference", note=note)


def cider(predicted: Sequence[str], references: Sequence[Sequence[str]], note: str = "") -> Score:
    """CIDEr-D (Vedantam et al., 2015), times 10 as pycocoevalcap prints it; one clip gives 0 by construction.

    Document frequencies are those of the references given here, so figures of different test sets are not comparable.
    """
    counted = [[_ngrams(words(text)) for text in texts] for texts in references]
    seen: Counter[tuple[str, ...]] = Counter()
    for texts in counted:
        seen.update({gram for text in texts for gram in text})
    clips = math.log(max(1, len(references)))
    tally = Tally()
    for text, texts in zip(predicted, counted, strict=True):
        own, length = _weighed(_ngrams(words(text)), seen, clips)
        tally.add(float(np.mean([_cider_pair(own, length, *_weighed(true, seen, clips)) for true in texts])))
    formula = "CIDEr-D, n = 1 to 4, sigma 6, document frequencies of these references, times 10"
    return tally.score("CIDEr-D", "1", formula, lambda ratio: 10 * ratio, note)


def _ngrams(tokens: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for n in range(1, NGRAMS + 1) for i in range(len(tokens) - n + 1))


def _weighed(
    counts: Mapping[tuple[str, ...], int], seen: Mapping[tuple[str, ...], int], clips: float
) -> tuple[list[dict[tuple[str, ...], float]], int]:
    """Weights of n-grams for n = 1 to 4, and the length as pycocoevalcap counts it (bigrams)."""
    weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(NGRAMS)]
    for gram, count in counts.items():
        weights[len(gram) - 1][gram] = count * (clips - math.log(max(1, seen.get(gram, 0))))
    return weights, sum(count for gram, count in counts.items() if len(gram) == 2)


def _cider_pair(own: list[dict[Any, float]], length: int, true: list[dict[Any, float]], true_length: int) -> float:
    penalty = math.exp(-((length - true_length) ** 2) / (2 * CIDER_SIGMA**2))
    similarity = 0.0
    for a, b in zip(own, true, strict=True):
        norms = math.sqrt(sum(w * w for w in a.values())) * math.sqrt(sum(w * w for w in b.values()))
        shared = sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b)
        similarity += (shared / norms if norms else 0.0) * penalty
    return similarity / NGRAMS


def bert_score(
    predicted: Sequence[str], references: Sequence[Sequence[str]], tokenizer: Any, model: Any, note: str = ""
) -> Score:
    """BERTScore F1 (Zhang et al., 2020): greedy matching of the encoder's last token vectors, best reference, neither
    rescaled nor weighed by idf. Empty captions score 0.
    """
    texts = sorted({text for text in (*predicted, *(t for true in references for t in true)) if words(text)})
    vectors = dict(zip(texts, _token_vectors(texts, tokenizer, model), strict=True))
    tally = Tally()
    for text, true in zip(predicted, references, strict=True):
        scores = [_greedy(vectors[text], vectors[t]) for t in true if t in vectors] if text in vectors else [0.0]
        tally.add(max(scores))
    name = getattr(model.config, "_name_or_path", "") or type(model).__name__
    formula = f"greedy matching F1 of token vectors of {name.rstrip('/').rpartition('/')[2]}, last layer, not rescaled"
    return tally.score("BERTScore", "1", formula, note=note)


def _token_vectors(texts: Sequence[str], tokenizer: Any, model: Any) -> list[np.ndarray]:
    import torch

    vectors: list[np.ndarray] = []
    for first in range(0, len(texts), _BATCH):
        batch = tokenizer(list(texts[first : first + _BATCH]), padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch.to(model.device)).last_hidden_state
        hidden = torch.nn.functional.normalize(hidden, dim=-1).cpu().numpy()
        kept = batch["attention_mask"].cpu().numpy().astype(bool)
        vectors += [rows[mask] for rows, mask in zip(hidden, kept, strict=True)]
    return vectors


def _greedy(own: np.ndarray, true: np.ndarray) -> float:
    """F1 of vectors (n, D) and (m, D). As in bert-score without idf, the marks at both ends may be matched with but do
    not count themselves.
    """
    table = own @ true.T
    precision, recall = table[1:-1].max(1).mean(), table[:, 1:-1].max(0).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0
