"""Extend -> train -> save -> load -> merge -> load -> resume: same logits and same greedy tokens all the way."""

import dataclasses

import pytest
import torch
from tiny_bases import KINDS, make_base
from tiny_model import random_tokenizer

from facelm.corpus import load_corpus, synthesise
from facelm.errors import FacelmError
from facelm.hub import load_model, merge_model, save_model
from facelm.lm.trainer import FaceTrainer, train
from facelm.lm.tuning import TuneConfig, prepare_model, write_examples
from facelm.tokenizer import MotionTokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus, a motion tokenizer, and bases as they are asked for."""
    folder = tmp_path_factory.mktemp("place")
    synthesise(0.01, 0, folder / "corpus")
    random_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


def config(place, kind, tied, out, **fields):
    base = place / f"{kind}-{tied}"
    if not base.exists():
        make_base(base, kind, tied)
    settings = {"examples": 24, "batch_tokens": 1024, "max_steps": 4, "learning_rate": 0.02, "logging_steps": 1}
    where = {"corpus": str(place / "corpus"), "motion_tokenizer": str(place / "tokenizer"), "out": str(out)}
    return TuneConfig(**{"base": str(base), **where, **settings, **fields})


@torch.no_grad()
def behaviour(model, processor):
    """(logits of a conversation, 24 greedy tokens after it)."""
    model.eval()
    messages = [{"role": "user", "content": "Smile slightly on the left, then nod."}]
    ids = torch.tensor([processor.encode(messages, add_generation_prompt=True).input_ids])
    logits = model(ids).logits
    for _ in range(24):
        ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    return logits, ids


def assert_same(one, other):
    assert torch.allclose(one[0], other[0], atol=1e-5, rtol=0)
    assert torch.equal(one[1], other[1])


def tied_now(model):
    return model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", KINDS)
def test_adapter(place, tmp_path, kind, tied):
    settings = config(place, kind, tied, tmp_path / "a", save_steps=2)
    model, processor = prepare_model(settings)
    untrained = behaviour(model, processor)
    trainer = FaceTrainer(
        model, settings, write_examples(settings, processor, load_corpus(place / "corpus", "train")), processor
    )
    rows = model.get_input_embeddings().weight.detach().clone()
    trainer.train()
    trained = behaviour(model, processor)
    assert not torch.allclose(untrained[0], trained[0], atol=1e-2)
    moved = (model.get_input_embeddings().weight != rows).any(1).nonzero().flatten().tolist()
    new = model.peft_config["default"].trainable_token_indices["embed_tokens"]
    assert moved and set(moved) <= set(new)  # old words stay as they were

    save_model(model, processor, tmp_path / "a", settings.base)
    size = (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert size < 1.2 * 4 * sum(w.numel() for w in model.parameters() if w.requires_grad) + 30_000
    loaded, again = load_model(tmp_path / "a")
    assert_same(trained, behaviour(loaded, again))

    merge_model(tmp_path / "a", tmp_path / "merged")
    merged, again = load_model(tmp_path / "merged")
    assert_same(trained, behaviour(merged, again))
    assert tied_now(merged) == tied

    train(dataclasses.replace(settings, resume=str(tmp_path / "a/checkpoints/checkpoint-2")))
    assert_same(trained, behaviour(*load_model(tmp_path / "a")))  # resumed in the middle = uninterrupted


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_full_then_adapter_on_top(place, tmp_path, kind, tied):
    settings = config(
        place, kind, tied, tmp_path / "full", tune="full", loss_on="all", learning_rate=2e-3, save_steps=2
    )
    train(settings)
    full = behaviour(*load_model(tmp_path / "full"))
    assert tied_now(load_model(tmp_path / "full")[0]) == tied
    middle = str(tmp_path / "full/checkpoints/checkpoint-2")
    train(dataclasses.replace(settings, resume=middle))
    assert_same(full, behaviour(*load_model(tmp_path / "full")))

    stage = config(place, kind, tied, tmp_path / "adapter", base=str(tmp_path / "full"))
    model, processor = prepare_model(stage)
    assert_same(full, behaviour(model, processor))  # a former stage keeps its words and rows
    train(stage)
    adapter = behaviour(*load_model(tmp_path / "adapter"))
    assert not torch.allclose(adapter[0], full[0], atol=1e-3)
    merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert_same(adapter, behaviour(*load_model(tmp_path / "merged")))


def test_an_adapter_is_found_with_its_base_after_both_moved(place, tmp_path):
    train(config(place, "bpe", True, tmp_path / "old" / "full", tune="full", max_steps=1))
    train(config(place, "bpe", True, tmp_path / "old" / "a", base=str(tmp_path / "old" / "full"), max_steps=1))
    before = behaviour(*load_model(tmp_path / "old" / "a"))
    (tmp_path / "old").rename(tmp_path / "new")
    assert_same(before, behaviour(*load_model(tmp_path / "new" / "a")))


def test_wrong_folders_are_refused(place, tmp_path):
    train(config(place, "bpe", True, tmp_path / "a", max_steps=1))
    with pytest.raises(FacelmError, match="is an adapter; run `facelm merge"):
        prepare_model(config(place, "bpe", True, tmp_path / "b", base=str(tmp_path / "a")))
    merge_model(tmp_path / "a", tmp_path / "merged")
    with pytest.raises(FacelmError, match="nothing to merge"):
        merge_model(tmp_path / "merged", tmp_path / "again")
    with pytest.raises(FacelmError, match="another kind"):
        merge_model(tmp_path / "a", tmp_path / "a")
    with pytest.raises(FacelmError, match="no checkpoint"):
        train(config(place, "bpe", True, tmp_path / "a", resume="last"))
    make_base(place / "other", "unigram", True)
    with pytest.raises(FacelmError, match="other words"):
        load_model(tmp_path / "a", base=str(place / "other"))
    torch.manual_seed(1)
    MotionTokenizer(random_tokenizer().config).save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(FacelmError, match="was trained with motion tokenizer"):
        fields = {"base": str(tmp_path / "merged"), "motion_tokenizer": str(tmp_path / "tokenizer")}
        prepare_model(config(place, "bpe", True, tmp_path / "b", **fields))
