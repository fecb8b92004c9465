"""Whatever the weights, what is decoded is valid; and decoding is the same alone, in a batch and through `generate`."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.generate import Decoder, Sampling
from facelm.lm.vocabulary import CHAT_END, Vocabulary

VOCABULARY = Vocabulary((("left", 7), ("right", 7), ("head", 5)), "0" * 16)
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256)
CONFIGS = {
    "llama": LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=False),
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256),
    "gemma3": Gemma3TextConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, head_dim=8, sliding_window=16),
}


@pytest.fixture(scope="module")
def tokenizer():
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, special_tokens=["<|im_start|>", CHAT_END])
    trained.train_from_iterator(["smile, then nod", "0.0-1.4 s slight sad; blink"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token=CHAT_END, pad_token=CHAT_END)


def make(tokenizer, kind="llama", seed=0):
    torch.manual_seed(seed)
    config = CONFIGS[kind]
    config.vocab_size = len(tokenizer)
    model = AutoModelForCausalLM.from_config(config).eval()
    VOCABULARY.extend(model, tokenizer)
    for weight in model.parameters():  # spread out, so that no choice is a near tie
        torch.nn.init.normal_(weight, std=0.3 if weight.ndim > 1 else 0.1)
    return model, Decoder(model, tokenizer, VOCABULARY)


def prompts(tokenizer, ids, count):
    words = ["smile", "nod and blink", "look up, then smile sadly", "0.0-1.4 s nod", "blink"]
    return [[*tokenizer.encode(words[i % 5] * (1 + i // 5)), ids.motion_start] for i in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [0.0, 5.0, {"head": 1.0}])
def test_any_weights_write_valid_motion_of_exactly_the_length_asked(tokenizer, seed, temperature):
    _, decoder = make(tokenizer, seed=seed)
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 9, size=6)
    plans = [Plan.parse(f"0.0-{n / 6.25 / 2:.2f} s nod; {n / 6.25 / 2:.2f}-{n / 6.25:.2f} s blink") for n in steps]
    cues = [plan.cues(n, 6.25) for plan, n in zip(plans, steps, strict=True)]
    rows = prompts(tokenizer, decoder.ids, 6)
    motions = decoder.motion(rows, cues, list(range(6)), Sampling(temperature, 0.9))
    for codes, n in zip(motions, steps, strict=True):
        assert codes.shape == (n, 3) and codes.dtype == np.int64
        decoder.ids.motion(codes)  # raises when a code is out of the range of its stream


@pytest.mark.parametrize("kind", CONFIGS)
def test_greedy_alone_is_greedy_in_a_batch_and_through_generate(tokenizer, kind):
    model, decoder = make(tokenizer, kind)
    rows = prompts(tokenizer, decoder.ids, 5)
    cues = [[(0, i % 8) for i in range(n)] for n in (7, 3, 8, 1, 5)]
    together = decoder.motion(rows, cues, [0] * 5)
    for row, cue, codes in zip(rows, cues, together, strict=True):
        assert np.array_equal(decoder.motion([row], [cue], [9])[0], codes)
        stock = model.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            do_sample=False,
            max_new_tokens=4 * len(cue),
            prefix_allowed_tokens_fn=allowed(decoder.ids, len(row), cue),
            pad_token_id=0,
            eos_token_id=None,
        )
        end = [decoder.ids.motion_end]
        assert np.array_equal(decoder.ids.codes([row[-1], *stock[0, len(row) :].tolist(), *end]), codes)


def allowed(ids, prompt, cues):
    def of(_, before):
        step, place = divmod(len(before) - prompt, 4)
        if place == 0:
            return [int(ids.cues[cues[step]])]
        start = ids.offsets[place - 1]
        return list(range(start, start + ids.sizes[place - 1]))

    return of


def test_cues_are_seen_by_the_model(tokenizer):
    _, decoder = make(tokenizer)
    row = prompts(tokenizer, decoder.ids, 1)
    one = decoder.motion(row, [[(0, 0)] * 8], [0])[0]
    other = decoder.motion(row, [[(3, 5)] * 8], [0])[0]
    assert not np.array_equal(one, other)


def test_a_row_with_its_seed_is_the_same_in_any_batch(tokenizer):
    _, decoder = make(tokenizer)
    rows = prompts(tokenizer, decoder.ids, 4)
    cues = [[(0, 0)] * n for n in (4, 8, 8, 6)]
    hot = Sampling(1.5, 0.95)
    together = decoder.motion(rows, cues, [1, 2, 3, 4], hot)
    assert np.array_equal(decoder.motion(rows[2:3], cues[2:3], [3], hot)[0], together[2])
    assert not np.array_equal(decoder.motion(rows[2:3], cues[2:3], [4], hot)[0], together[2])
    words = decoder.text(rows, [0], 12, [1, 2, 3, 4], hot)
    assert decoder.text(rows[1:2], [0], 12, [2], hot)[0] == words[1]


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_text_holds_only_words_until_a_stop(tokenizer, temperature):
    _, decoder = make(tokenizer)
    end = tokenizer.convert_tokens_to_ids(CHAT_END)
    banned = {*decoder.ids.all.tolist(), *tokenizer.all_special_ids} - {end}
    for written in decoder.text(prompts(tokenizer, decoder.ids, 9), [end], 40, list(range(9)), Sampling(temperature)):
        assert 0 < len(written) <= 40
        assert not banned & set(written) and max(written) < len(tokenizer)
        assert end not in written[:-1] and (written[-1] == end or len(written) == 40)


def test_text_ends_where_the_context_ends(tokenizer):
    _, decoder = make(tokenizer)
    assert len(decoder.text([[5] * 250], [], 40, [0])[0]) == 6
    with pytest.raises(FacelmError, match="256 tokens.*context holds 256"):
        decoder.text([[5] * 256], [], 40, [0])


def test_a_motion_longer_than_the_context_is_refused(tokenizer):
    _, decoder = make(tokenizer)
    row = [5] * 50 + [decoder.ids.motion_start]
    assert len(decoder.motion([row], [[(0, 0)] * 51], [0])[0]) == 51
    with pytest.raises(FacelmError, match="52 steps.*room for 51"):
        decoder.motion([row], [[(0, 0)] * 52], [0])


@pytest.mark.parametrize("wrong", [dict(temperature=-1.0), dict(top_p=0.0), dict(temperature={"head": float("nan")})])
def test_sampling_refuses(wrong):
    with pytest.raises(FacelmError, match="it must be"):
        Sampling(**wrong)


def test_draws_follow_the_distribution():
    from facelm.generate.decoding import _choose

    scores = torch.log(torch.tensor([0.1, 0.6, 0.3])).repeat(4000, 1)
    draw = torch.arange(4000) / 4000
    counts = torch.bincount(_choose(scores, 1.0, 1.0, draw), minlength=3) / 4000
    assert torch.allclose(counts, torch.tensor([0.1, 0.6, 0.3]), atol=1e-3)
    counts = torch.bincount(_choose(scores, 1.0, 0.7, draw), minlength=3) / 4000
    assert torch.allclose(counts, torch.tensor([0.0, 2 / 3, 1 / 3]), atol=1e-3)
    assert _choose(scores[:1], 1.0, 1.0, torch.tensor([1 - 2**-24])).item() == 0
