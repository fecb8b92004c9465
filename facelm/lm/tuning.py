"""What a tuning run is made of: its configuration, its examples, its batches and its model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.fields import check_fields, read_yaml
from facelm.lm.folder import extended_base
from facelm.lm.instructions import TASKS, example
from facelm.lm.processor import FaceProcessor
from facelm.lm.vocabulary import Vocabulary

WORDS = ["id", "seconds", "plan", "prompts", "captions", "questions"]  # the columns examples are made of


def _f(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class TuneConfig:
    """One tuning run. Every field can stand in the YAML file or on the command line (`--field value`).

    Raises FacelmError for a value that makes no sense, naming the field.
    """

    base: str = _f("", "folder or Hub id of a causal LM, or the folder of a full facelm model of a former stage")
    corpus: str = _f("", "corpus folder, of `facelm corpus`; its train split is used")
    motion_tokenizer: str = _f("", "folder of the motion tokenizer")
    out: str = _f("", "folder to write the model, log.jsonl and checkpoints to")
    tune: str = _f("lora", "lora: adapter and the new rows; full: all weights")
    loss_on: str = _f("answers", "answers: what the assistant says; all: every token (never the forced cues)")
    rank: int = _f(8, "rank of the LoRA matrices, on all linear layers")
    alpha: int = _f(16, "LoRA scale: updates count alpha / rank")
    dropout: float = _f(0.0, "dropout before the LoRA matrices")
    animate: float = _f(2.0, "share of animate examples")
    duration: float = _f(0.5, "share of animate examples with a length")
    describe: float = _f(1.2, "share of describe examples")
    question: float = _f(0.2, "share of question examples")
    plan: float = _f(1.2, "share of examples that ask for the plan alone (words only, cheap)")
    words: float = _f(1.2, "share of examples that put a plan into words (words only, cheap)")
    examples: int = _f(0, "number of examples to write, wordings drawn anew each round; 0: four a corpus row")
    max_length: int = _f(1024, "tokens of the longest example allowed; a longer one is an error, never cut")
    batch_tokens: int = _f(2048, "tokens of a batch, padding included; examples of like length share a batch")
    accumulate: int = _f(1, "batches of one optimizer step")
    learning_rate: float = _f(2e-4, "highest learning rate")
    warmup: float = _f(0.03, "share of the run in which the learning rate rises; then it falls to 0 as a cosine")
    weight_decay: float = _f(0.0, "AdamW weight decay")
    max_steps: int = _f(0, "optimizer steps at most; 0: as many as the examples give")
    max_seconds: float = _f(
        0.0, "wall-clock seconds of training at most, the learning rate falls to 0 in them; 0: none"
    )
    bf16: bool = _f(False, "mixed precision: for GPUs, and for large models on CPUs with AMX (1.5 times as fast)")
    gradient_checkpointing: bool = _f(False, "recompute activations: less memory, a third slower")
    save_steps: int = _f(0, "optimizer steps between checkpoints; 0: none")
    resume: str = _f("", "checkpoint folder to go on from, or 'last' for the newest in out/checkpoints")
    logging_steps: int = _f(10, "optimizer steps between lines of out/log.jsonl")
    seed: int = _f(0, "seed of examples, batches and new weights")

    def __post_init__(self) -> None:
        for name in ("base", "corpus", "motion_tokenizer", "out"):
            if not getattr(self, name):
                raise FacelmError(f"`{name}` is missing; set it in the YAML file or with --{name}")
        for name, allowed in (("tune", ("lora", "full")), ("loss_on", ("answers", "all"))):
            if getattr(self, name) not in allowed:
                raise FacelmError(f"`{name}` is {getattr(self, name)!r}; it is one of {', '.join(allowed)}")
        for name in ("rank", "alpha", "max_length", "batch_tokens", "accumulate", "logging_steps", "learning_rate"):
            if getattr(self, name) <= 0:
                raise FacelmError(f"`{name}` is {getattr(self, name)}; it must be above 0")
        for name in (*TASKS, "examples", "max_steps", "max_seconds", "save_steps", "weight_decay", "dropout"):
            if getattr(self, name) < 0:
                raise FacelmError(f"`{name}` is {getattr(self, name)}; it must not be below 0")
        if not any(getattr(self, task) for task in TASKS):
            raise FacelmError(f"one of the shares {', '.join(TASKS)} must be above 0")
        if not 0 <= self.warmup < 1 or not 0 <= self.dropout < 1:
            raise FacelmError("`warmup` and `dropout` are shares from 0 to below 1")
        if self.batch_tokens < self.max_length:
            raise FacelmError(f"`batch_tokens` {self.batch_tokens} is below `max_length` {self.max_length}; raise it")


def check_keys(path: str | Path) -> None:
    """Check the keys of a tuning YAML file; FacelmError names an unknown key and the nearest one that exists."""
    check_fields(path, read_yaml(path), [field.name for field in dataclasses.fields(TuneConfig)])


def parse_arguments(arguments: Sequence[str]) -> TuneConfig:
    """The configuration of a command line: `--config FILE` and `--field value`, which wins over the file.

    Raises FacelmError for an unknown key or argument, or a value that makes no sense.
    """
    if "--config" in arguments[:-1]:
        check_keys(arguments[arguments.index("--config") + 1])
    from trl import TrlParser

    try:
        (config,) = TrlParser((TuneConfig,)).parse_args_and_config(list(arguments))
    except FacelmError:
        raise
    except ValueError as error:
        raise FacelmError(f"{error}; see --help") from None
    return config


def prepare_model(config: TuneConfig) -> tuple[Any, FaceProcessor]:
    """The model to train and its processor: base, new rows from the codebooks, adapter if asked."""
    import torch

    from facelm.tokenizer import MotionTokenizer

    motion_tokenizer = MotionTokenizer.from_pretrained(config.motion_tokenizer)
    vocabulary = Vocabulary.of(motion_tokenizer)
    codebooks = {name: motion_tokenizer.codebook(name) for name, _ in vocabulary.streams}
    model, tokenizer, rows = extended_base(config.base, vocabulary, codebooks)
    processor = FaceProcessor(tokenizer, motion_tokenizer, vocabulary)
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and config.max_length > context:
        raise FacelmError(f"`max_length` {config.max_length} is above the base's context of {context}; lower it")
    if config.tune == "lora":
        torch.manual_seed(config.seed)
        model = add_adapter(model, rows, config.rank, config.alpha, config.dropout)
    return model, processor


def add_adapter(model: Any, rows: Sequence[int], rank: int, alpha: int, dropout: float = 0.0) -> Any:
    """A PeftModel with LoRA on all linear layers and the given embedding rows trainable, tied ones kept tied."""
    from peft import LoraConfig, get_peft_model

    names = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    trained = {names[id(inputs)]: list(rows)}
    if outputs is not None and outputs.weight is not inputs.weight:
        trained[names[id(outputs)]] = list(rows)
    settings = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="all-linear",
        trainable_token_indices=trained,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, settings)


def write_examples(config: TuneConfig, processor: FaceProcessor, rows: Any) -> Any:
    """A `datasets.Dataset` with columns `input_ids` and `labels`, -100 where there is no loss.

    `rows` is a corpus split. Rows are visited in shuffled rounds, each as often as its weight says; task and wording
    are drawn at each visit. Raises FacelmError for an example over `max_length`, naming row, length and remedy, for a
    row without prompts or captions, and for a weight that makes no sense.
    """
    from datasets import Dataset

    rng = np.random.default_rng(config.seed)
    order = visits(_weights(rows), config.examples, rng)
    count = len(order)
    codes = _encode_rows(processor, rows, sorted(set(order.tolist())))
    shares = np.array([getattr(config, task) for task in TASKS])
    tasks = rng.choice(len(TASKS), size=count, p=shares / shares.sum())
    words = rows.select_columns(WORDS)
    known = {int(index): words[int(index)] for index in set(order.tolist())}
    columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for index, task in zip(order.tolist(), tasks.tolist(), strict=True):
        row, name = known[index], TASKS[task]
        if not row["prompts"] or not row["captions"]:
            raise FacelmError(
                f"corpus row {row['id']} has no prompts or captions to learn from; put texts beside the take, give its "
                "data set a --map, or leave it out of the corpus"
            )
        if name == "question" and not row["questions"]:
            name = "describe"
        ids, labels = tokenised(processor, example(name, row, codes[index], rng), config.loss_on)
        if len(ids) > config.max_length:
            raise FacelmError(
                f"corpus row {row['id']}: its {name} example has {len(ids)} tokens and max_length is "
                f"{config.max_length}; raise max_length, or cut takes of {row['seconds']:.1f} s into shorter clips"
            )
        columns["input_ids"].append(ids)
        columns["labels"].append(labels)
    return Dataset.from_dict(columns)


def visits(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Row indices in the order training visits them, int64 (count,), or four rounds where `count` is 0.

    In each shuffled round a row of weight 2 comes twice, one of weight 1.5 once or, every other time, twice.
    """
    count = count or max(1, round(4 * float(weights.sum())))
    whole = bool((weights == np.floor(weights)).all())
    rounds: list[np.ndarray] = []
    while sum(map(len, rounds)) < count:
        times = weights if whole else np.floor(weights + rng.random(len(weights)))
        rounds.append(rng.permutation(np.repeat(np.arange(len(weights)), times.astype(np.int64))))
    return np.concatenate(rounds)[:count]


def _weights(rows: Any) -> np.ndarray:
    """The weight of each row, float64 (N,); 1 in corpora that have none."""
    if "weight" not in rows.column_names:
        return np.ones(len(rows))
    weights = np.array([1.0 if weight is None else weight for weight in rows["weight"]])
    if not (np.isfinite(weights) & (weights > 0)).all():
        index = int(np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))[0])
        raise FacelmError(f"corpus row {rows[index]['id']} has the weight {weights[index]:g}; it must be above 0")
    return weights


def tokenised(processor: FaceProcessor, messages: list[dict[str, Any]], loss_on: str) -> tuple[list[int], list[int]]:
    """Ids and labels of a conversation; cues and the first token never have a label."""
    encoded = processor.encode(messages)
    if loss_on == "answers":
        kept = encoded.assistant_mask
    else:
        cues = range(int(processor.ids.cues.min()), int(processor.ids.cues.max()) + 1)
        kept = [int(id_ not in cues) for id_ in encoded.input_ids]
        kept[0] = 0
    return encoded.input_ids, [id_ if k else -100 for id_, k in zip(encoded.input_ids, kept, strict=True)]


def _encode_rows(processor: FaceProcessor, rows: Any, wanted: list[int]) -> dict[int, np.ndarray]:
    """Motion codes (steps, streams) of the wanted rows of a corpus split."""
    from tqdm import tqdm

    from facelm.corpus import motion

    codes: dict[int, np.ndarray] = {}
    rows = rows.select_columns(["id", "values", "fps", "layout"])
    for start in tqdm(range(0, len(wanted), 256), desc="motion to tokens", unit="batch"):
        part = wanted[start : start + 256]
        encoded = processor.motion_tokenizer.encode_batch([motion(rows[index]) for index in part])
        codes.update((index, e.codes) for index, e in zip(part, encoded, strict=True))
    return codes


def token_batches(lengths: Sequence[int], budget: int, seed: int) -> list[list[int]]:
    """Batches of examples of like length, each of at most `budget` tokens with padding, in random order.

    Examples are sorted inside stretches of about 64 batches only, so that batches differ from seed to seed.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    stretch = max(1, int(64 * budget / max(1.0, float(np.mean(lengths)))))
    batches: list[list[int]] = []
    for start in range(0, len(order), stretch):
        batch: list[int] = []
        for index in sorted(order[start : start + stretch].tolist(), key=lambda i: lengths[i]):
            if batch and lengths[index] * (len(batch) + 1) > budget:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    return [batches[index] for index in rng.permutation(len(batches))]
