import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from facelm.errors import FacelmError
from facelm.evaluate.embeddings import (
    Gaussian,
    distances,
    diversity,
    fid,
    matching_distance,
    multimodality,
    r_precision,
    retrieval,
)

RNG = np.random.default_rng(0)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_fid_is_what_scipy_and_torchmetrics_compute():
    from torchmetrics.image.fid import _compute_fid

    a, b = normal(200, 12) @ normal(12, 12, seed=1), normal(300, 12, seed=2) + 0.3
    m1, m2, c1, c2 = a.mean(0), b.mean(0), np.cov(a.T), np.cov(b.T)
    by_hand = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert fid(a, b).value == pytest.approx(by_hand, rel=1e-6)
    other = _compute_fid(*(torch.tensor(x) for x in (m1, c1, m2, c2)))
    assert fid(a, b).value == pytest.approx(float(other), rel=1e-6)
    assert fid(torch.tensor(a), torch.tensor(b)).value == fid(a, b).value
    assert "N differs" in fid(a, b).note


def test_fid_of_itself_and_of_known_gaussians():
    a = normal(500, 64)
    assert abs(fid(a, a).value) < 1e-3
    assert fid(a, a + 2.0).value == pytest.approx(64 * 4, rel=1e-6)
    # Biased in N: two sets of one distribution, D = 256.
    assert fid(normal(64, 256), normal(64, 256, seed=1)).value == pytest.approx(315, rel=0.1)
    assert fid(normal(500, 256), normal(500, 256, seed=1)).value == pytest.approx(67, rel=0.1)
    degenerate = np.repeat(normal(50, 1), 8, axis=1)  # rank 1
    assert abs(fid(degenerate, degenerate).value) < 1e-3


def test_fid_streams():
    a, b = normal(333, 7), normal(333, 7, seed=1)
    streamed = [Gaussian(), Gaussian()]
    for first in range(0, 333, 50):
        for gaussian, rows in zip(streamed, (a, b), strict=True):
            gaussian.add(rows[first : first + 50])
    assert fid(*streamed).value == pytest.approx(fid(a, b).value, rel=1e-9)
    assert np.allclose(streamed[0].covariance, np.cov(a.T))


def test_fid_of_too_few_says_so():
    score = fid(normal(1, 4), normal(5, 4))
    assert math.isnan(score.value)
    assert "needs at least 2" in str(score)


def test_diversity_by_hand_and_with_too_few():
    corners = np.array([[0.0, 0], [3, 4], [0, 0]])
    score = diversity(corners)
    assert score.value == pytest.approx(10 / 3)
    assert "too few" in score.note
    many = normal(1000, 16)
    assert diversity(many).value == pytest.approx(math.sqrt(2 * 16), rel=0.05)
    assert diversity(many).value == diversity(many).value != diversity(many, seed=1).value
    assert not diversity(normal(1, 4)).known


def test_multimodality_by_hand():
    same = np.repeat(normal(5, 1, 8), 30, axis=1)
    assert multimodality(same).value == 0
    assert multimodality(normal(200, 30, 8)).value == pytest.approx(math.sqrt(2 * 8) * 0.97, rel=0.05)
    assert not multimodality(normal(5, 1, 8)).known


def test_matching_distance_by_hand():
    assert matching_distance([[0.0, 0], [1, 1]], [[3.0, 4], [1, 1]]).value == 2.5


def test_retrieval_of_identical_embeddings_is_perfect_and_never_nan():
    a = (RNG.normal(size=(64, 8)) * 1e3).astype(np.float32)
    assert [score.value for score in r_precision(a, a)] == [1, 1, 1]
    assert not np.isnan(distances(a.astype(float), a.astype(float))).any()
    assert [s.value for s in retrieval(a, a)] == [1, 1, 1, 1, 1, 1]


def test_retrieval_at_chance_and_with_ties():
    scores = r_precision(normal(640, 8), normal(640, 8, seed=1))
    for k, score in enumerate(scores, start=1):
        assert score.value == pytest.approx(k / 32, abs=0.03)
        assert score.low < score.value < score.high
    constant = np.ones((64, 4))  # every item ties: the mean rank is 16.5, no free hits
    assert [score.value for score in r_precision(constant, constant)] == [0, 0, 0]


def test_retrieval_by_hand():
    queries, items = np.array([[0.0], [1.0], [2.0]]), np.array([[0.1], [2.1], [1.9]])
    ranks = {score.name: score.value for score in retrieval(queries, items)}
    # Query 0 finds its item first; 1 (nearest 0.1 and 1.9, own 2.1) third; 2 finds 1.9 and 2.1 equally near.
    assert ranks["all R@1"] == pytest.approx(1 / 3)
    assert ranks["all R@2"] == pytest.approx(2 / 3)
    assert ranks["all R MedR"] == 1.5


def test_an_incomplete_gallery_is_dropped_and_too_few_clips_say_so():
    a = normal(40, 8)
    assert r_precision(a, a)[0].n == 40
    short = r_precision(normal(20, 8), normal(20, 8))
    assert not short[0].known
    assert "20 clips do not fill a gallery of 32" in short[0].note


def test_wrong_embeddings_are_refused():
    with pytest.raises(FacelmError, match="do not belong together"):
        r_precision(normal(40, 8), normal(41, 8))
    with pytest.raises(FacelmError, match="not finite, in row 3"):
        fid(np.where(np.arange(40)[:, None] == 3, np.nan, normal(40, 8)), normal(40, 8))
    with pytest.raises(FacelmError, match="width 8 and 9"):
        fid(normal(40, 8), normal(40, 9))


def test_clips_that_show_the_same_are_as_right_as_a_querys_own():
    texts = np.eye(32)
    motions = texts[np.arange(32) ^ 1]  # every two neighbours are exchanged
    assert r_precision(texts, motions)[0].value == 0
    pairs = [str(i // 2) for i in range(32)]
    told = r_precision(texts, motions, contents=pairs)[0]
    assert told.value == 1 and "equal content" in told.formula
    alone = [str(i) for i in range(32)]
    noisy = motions + normal(32, 32)
    assert [s.value for s in r_precision(texts, noisy, contents=alone)] == [s.value for s in r_precision(texts, noisy)]
