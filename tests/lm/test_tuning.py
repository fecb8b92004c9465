import dataclasses

import numpy as np
import pytest
from tiny_model import random_tokenizer

from facelm.corpus import load_corpus, motion, synthesise
from facelm.errors import FacelmError
from facelm.lm.instructions import TASKS
from facelm.lm.tuning import TuneConfig, check_keys, prepare_model, token_batches, tokenised, visits, write_examples

GOOD = {"base": "b", "corpus": "c", "motion_tokenizer": "t", "out": "o"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    synthesise(0.01, 0, folder)
    return load_corpus(folder, "train")


def config(**fields):
    return TuneConfig(**(GOOD | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base": ""}, "`base` is missing"),
        ({"tune": "some"}, "lora, full"),
        ({"loss_on": "cues"}, "answers, all"),
        ({"rank": 0}, "`rank` is 0"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"describe": -1.0}, "describe"),
        (dict.fromkeys(TASKS, 0.0), "shares"),
        ({"warmup": 1.0}, "warmup"),
        ({"batch_tokens": 100}, "max_length"),
    ],
)
def test_wrong_values_name_their_field(fields, words):
    with pytest.raises(FacelmError, match=words):
        config(**fields)


def test_every_field_is_explained():
    assert all(len(field.metadata["help"]) > 15 for field in dataclasses.fields(TuneConfig))


def test_unknown_keys_name_the_nearest(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: x\nlearning_rat: 1\n")
    with pytest.raises(FacelmError, match="unknown key 'learning_rat'; the nearest one is 'learning_rate'"):
        check_keys(path)
    path.write_text("- a\n")
    with pytest.raises(FacelmError, match="lines"):
        check_keys(path)
    with pytest.raises(FacelmError, match="no config file"):
        check_keys(tmp_path / "absent.yaml")


@pytest.mark.parametrize("loss_on", ["answers", "all"])
def test_labels(processor, rows, loss_on):
    row = rows[0]
    messages = [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": row["plan"]}, {"type": "motion", "motion": motion(row)}],
        },
    ]
    ids, labels = tokenised(processor, messages, loss_on)
    cue = np.isin(ids, processor.ids.cues)
    labelled = np.array(labels) != -100
    assert not (labelled & cue).any() and cue.any()
    assert (np.array(ids)[labelled] == np.array(labels)[labelled]).all()
    if loss_on == "all":
        assert (labelled | cue)[1:].all() and not labelled[0]
    else:
        start = len(processor.encode(messages[:1], add_generation_prompt=True).input_ids)
        assert not labelled[:start].any() and (labelled | cue)[start:-1].all() and not labelled[-1]


def test_examples_follow_shares_and_seed(processor, rows):
    def text(**fields):
        data = write_examples(config(examples=60, **fields), processor, rows)
        return [processor.tokenizer.decode(ids) for ids in data["input_ids"]]

    assert text(seed=1) == text(seed=1) != text(seed=2)
    described = text(**dict.fromkeys(TASKS, 0.0) | {"describe": 1.0})
    assert not any("<|cue_" in example for example in described) and all("<|motion|>" in e for e in described)
    assert len(set(described)) > len(rows)  # rounds bring other wordings
    animated = text(**dict.fromkeys(TASKS, 0.0) | {"animate": 1.0, "duration": 1.0})
    assert all("<|cue_0_" in example for example in animated)
    spoken = text(**dict.fromkeys(TASKS, 0.0) | {"plan": 1.0, "words": 1.0})
    assert not any("<|motion|>" in example for example in spoken)


def test_a_long_example_is_an_error_never_cut(processor, rows):
    with pytest.raises(FacelmError, match=r"corpus row train-\d+: its \w+ example has \d+ tokens.*raise max_length"):
        write_examples(config(max_length=40), processor, rows)


def test_a_row_without_words_is_named(processor, rows):
    mute = rows.map(lambda row: row | {"prompts": []} if row["id"] == rows[0]["id"] else row)
    with pytest.raises(FacelmError, match=f"corpus row {rows[0]['id']} has no prompts or captions"):
        write_examples(config(), processor, mute)


def test_batches_hold_every_example_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(20, 300, 3000).tolist()
    batches = token_batches(lengths, 2048, seed=0)
    assert sorted(i for batch in batches for i in batch) == list(range(3000))
    padded = [max(lengths[i] for i in batch) * len(batch) for batch in batches]
    assert max(padded) <= 2048
    assert sum(padded) < 1.03 * sum(lengths)
    assert token_batches(lengths, 2048, seed=0) == batches != token_batches(lengths, 2048, seed=1)


def test_a_context_that_is_too_short_and_an_absent_base_are_refused(base, tmp_path):
    random_tokenizer().save_pretrained(tmp_path)
    fields = {"motion_tokenizer": str(tmp_path), "base": str(base("sentencepiece"))}
    with pytest.raises(FacelmError, match="context of 1024"):
        prepare_model(config(max_length=2000, **fields))
    with pytest.raises(FacelmError, match="neither a folder with a causal LM nor found on the Hub"):
        prepare_model(config(**fields | {"base": str(tmp_path / "absent")}))


def test_weight_one_everywhere_visits_rows_as_ever():
    """Three rounds of permutations, drawn as before there were weights, so that seeds keep their meaning."""
    rng = np.random.default_rng(3)
    rounds = [rng.permutation(7) for _ in range(3)]
    mine = np.random.default_rng(3)
    assert visits(np.ones(7), 17, mine).tolist() == np.concatenate(rounds)[:17].tolist()
    assert rng.random() == mine.random()


def test_weights_say_how_often_rows_are_visited():
    order = visits(np.array([1.0, 2.0, 0.5, 1.5]), 5000, np.random.default_rng(0))
    share = np.bincount(order) / len(order)
    assert np.allclose(share, np.array([1, 2, 0.5, 1.5]) / 5, atol=0.01)
    assert len(visits(np.array([2.0, 3.0]), 0, np.random.default_rng(0))) == 20


def test_rows_without_weights_count_once_and_wrong_ones_are_named(processor, rows):
    none = rows.remove_columns("weight")
    assert (
        write_examples(config(examples=9), processor, none)["input_ids"]
        == (write_examples(config(examples=9), processor, rows)["input_ids"])
    )
    wrong = none.add_column("weight", [0.0, *[1.0] * (len(rows) - 1)])
    with pytest.raises(FacelmError, match=f"{rows[0]['id']} has the weight 0; it must be above 0"):
        write_examples(config(examples=9), processor, wrong)
