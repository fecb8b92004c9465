import json
from pathlib import Path

import pytest
import torch
from tiny_model import random_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from facelm.corpus import load_corpus, synthesise
from facelm.lm.trainer import FaceTrainer, SFTTrainer
from facelm.lm.tuning import TuneConfig, add_adapter, parse_arguments, prepare_model, write_examples

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    synthesise(0.01, 0, folder / "corpus")
    random_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture
def trainer(place, base, tmp_path):
    """Makes a trainer with some fields of its configuration changed."""

    def make(**fields):
        where = {"base": str(base()), "corpus": str(place / "corpus"), "motion_tokenizer": str(place / "tokenizer")}
        common = {"examples": 40, "batch_tokens": 1024, "logging_steps": 1, "out": str(tmp_path)}
        config = TuneConfig(**{**where, **common, **fields})
        model, processor = prepare_model(config)
        rows = load_corpus(place / "corpus", "train")
        return FaceTrainer(model, config, write_examples(config, processor, rows), processor)

    return make


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("tune", ["lora", "full"])
@pytest.mark.parametrize("items", [None, 500])
def test_the_loss_is_trls(trainer, tune, items):
    made = trainer(tune=tune)
    for batch in list(made.get_train_dataloader())[:2]:
        ours = made.compute_loss(made.model, dict(batch), num_items_in_batch=items)
        ours.backward()
        weight = made.model.get_output_embeddings().weight
        theirs = SFTTrainer.compute_loss(made, made.model, dict(batch), num_items_in_batch=items)
        assert torch.allclose(ours, theirs, rtol=1e-5) and weight.requires_grad


def test_the_budget_ends_training_and_the_rate_falls_to_zero_in_it(trainer, tmp_path):
    made = trainer(max_seconds=1.5, examples=4000, tune="full", learning_rate=1e-3)
    made.train()
    log = [line for line in lines(tmp_path) if "loss" in line]
    assert len(log) > 5 and 1.5 <= lines(tmp_path)[-1]["seconds"] < 3
    rates = [line["learning_rate"] for line in log]
    assert max(rates) > 0.9e-3 and rates[-1] < 0.1 * max(rates)
    assert rates[rates.index(max(rates)) :] == sorted(rates[rates.index(max(rates)) :], reverse=True)
    assert made.state.global_step < made.state.max_steps


def test_the_rate_rises_and_falls_over_the_steps(trainer):
    made = trainer(warmup=0.25)
    made.create_optimizer()
    factor = made.create_scheduler(100).lr_lambdas[0]
    assert 0 < factor(0) <= 0.04 and factor(24) == 1.0 and factor(62) == pytest.approx(0.5, abs=0.02)
    assert factor(100) == 0.0 and max(map(factor, range(101))) == 1.0


def test_tokens_are_counted_and_losses_fall(trainer, tmp_path):
    made = trainer(tune="full", learning_rate=5e-3, loss_on="all", examples=200)
    made.train()
    log = lines(tmp_path)
    assert log[-1]["tokens"] == sum(map(len, made.train_dataset["input_ids"]))
    assert log[-2]["loss"] < 0.8 * log[0]["loss"]


def test_a_resumed_log_goes_on(trainer, tmp_path):
    trainer(max_steps=4, save_steps=2).train()
    resumed = trainer(max_steps=4, save_steps=2, resume="last")
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoints" / "checkpoint-2"))
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [1, 2, 3, 4]
    for key in ("seconds", "tokens"):  # those before the checkpoint count
        values = [line[key] for line in lines(tmp_path) if "loss" in line]
        assert values == sorted(values)


def test_mixed_precision_trains_and_keeps_float32_weights(trainer):
    made = trainer(bf16=True, max_steps=2)
    made.train()
    assert {weight.dtype for weight in made.model.parameters()} == {torch.float32}


def test_the_adapter_of_smollm2_is_under_15_mb():
    config = parse_arguments(["--config", str(ROOT / "recipes/smollm2-135m/sft.yaml")])
    sizes = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "tie_word_embeddings": True}
    with torch.device("meta"):
        model = LlamaForCausalLM(
            LlamaConfig(**sizes, vocab_size=50304, num_attention_heads=9, num_key_value_heads=3, head_dim=64)
        )
    rows = range(49152, 49152 + 2 + 64 + 3 * 256 + 2 * 128)
    model = add_adapter(model, rows, config.rank, config.alpha)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 4 * trained < 14.5e6
