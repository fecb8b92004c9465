"""TRL's SFTTrainer with batches of equal token counts, a wall-clock budget, and a log for curves."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from facelm.errors import FacelmError
from facelm.lm.folder import save_model
from facelm.lm.processor import FaceProcessor
from facelm.lm.tuning import TuneConfig, prepare_model, token_batches, write_examples
from facelm.steplog import StepLog

LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"


class FaceTrainer(SFTTrainer):
    """SFTTrainer on examples that are tokenised and labelled already (`write_examples`)."""

    lr_scheduler: Any

    def __init__(self, model: Any, config: TuneConfig, dataset: Dataset, processor: FaceProcessor) -> None:
        self.tune = config
        self.clock = Clock(config.max_seconds)
        self.tokens = 0
        super().__init__(
            model=model,
            args=_arguments(config),
            train_dataset=dataset,
            processing_class=processor.tokenizer,
            callbacks=[self.clock, JsonLog(Path(config.out) / LOG)],
        )
        head = self.model.get_output_embeddings()
        if not hasattr(head, "bias"):
            head.bias = None  # TRL's fused loss reads it, and PEFT's wrapper of trained rows has none

    def get_train_dataloader(self) -> DataLoader:
        """Batches of like lengths and equal size in tokens; the same number for every process."""
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        batches = token_batches(lengths, self.tune.batch_tokens, self.tune.seed)
        processes = self.accelerator.num_processes
        batches = batches[: len(batches) // processes * processes] or batches
        dataset = self._remove_unused_columns(self.train_dataset, description="Training")
        # A list of batches is a batch sampler: with one epoch, resuming only has to skip its beginning.
        loader = DataLoader(dataset, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Linear warm-up, then a cosine to 0, over the steps or the seconds, whichever end first."""
        if self.lr_scheduler is None:
            warmup = self.tune.warmup

            def factor(step: int) -> float:
                done = max(step / max(1, num_training_steps), self.clock.share())
                if done < warmup:
                    return min(1.0, (done + 1 / max(1, num_training_steps)) / warmup)
                return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean negative log-likelihood of the labelled tokens.

        On CPU the plain logits are used: TRL's fused head saves memory there at less than half the speed.
        """
        self.tokens += int(inputs["attention_mask"].sum())
        if return_outputs or inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        kept = labels != -100
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][kept].float(), labels[kept], reduction="sum")
        if num_items_in_batch is None:
            return loss / kept.sum().clamp(min=1)
        # The count is over all processes, whose gradients are averaged.
        return loss * self.accelerator.num_processes / num_items_in_batch

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the seconds of training and the tokens seen by this process to every entry."""
        logs |= {"seconds": round(self.clock.seconds(), 2), "tokens": self.clock.tokens_before + self.tokens}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        from peft import PeftModel

        if not isinstance(self.model, PeftModel):
            return super()._save(output_dir, state_dict)
        self.model.save_pretrained(output_dir, state_dict=state_dict, save_embedding_layers=False)


class Clock(TrainerCallback):
    """Counts the seconds of training, those before a resume too, and ends training when the budget is spent."""

    def __init__(self, budget: float) -> None:
        """`budget` in seconds; 0 for none."""
        self.budget = budget
        self.tokens_before = 0
        self._start: float | None = None

    def seconds(self) -> float:
        """Seconds of training so far."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def share(self) -> float:
        """Spent share of the budget, 0 to 1; 0 without a budget."""
        return min(1.0, self.seconds() / self.budget) if self.budget else 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start, from the seconds and tokens logged before a checkpoint."""
        before = state.log_history[-1] if state.log_history else {}
        self._start = time.monotonic() - before.get("seconds", 0.0)
        self.tokens_before = before.get("tokens", 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop when the budget is spent."""
        if self.budget and self.seconds() >= self.budget:
            control.should_training_stop = True


class JsonLog(TrainerCallback):
    """Writes every log entry as a line of JSON: step, loss, learning_rate, grad_norm, seconds, tokens."""

    def __init__(self, path: Path) -> None:
        """A new run starts the file anew; a resumed one goes on after the lines of its checkpoint."""
        self.path = path
        self._log: StepLog | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Make the file, or cut off what came after the checkpoint."""
        if state.is_world_process_zero:
            self._log = StepLog(self.path, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Append one line."""
        if self._log and logs:
            self._log.write(state.global_step, **logs)


def train(config: TuneConfig) -> None:
    """Run a tuning: read the corpus, write the examples, train, and save the model into `config.out`.

    Raises FacelmError for a wrong request (see TuneConfig, write_examples, prepare_model).
    """
    from facelm.corpus import load_corpus

    rows = load_corpus(config.corpus, "train")
    checkpoint = _checkpoint(config)
    model, processor = prepare_model(config)
    dataset = write_examples(config, processor, rows)
    Path(config.out).mkdir(parents=True, exist_ok=True)
    trainer = FaceTrainer(model, config, dataset, processor)
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        save_model(trainer.accelerator.unwrap_model(trainer.model), processor, config.out, config.base)


def _checkpoint(config: TuneConfig) -> str | None:
    if not config.resume:
        return None
    folder = Path(config.out) / CHECKPOINTS if config.resume == "last" else Path(config.resume)
    found = get_last_checkpoint(str(folder)) if config.resume == "last" and folder.is_dir() else str(folder)
    if found is None or not (Path(found) / "trainer_state.json").is_file():
        raise FacelmError(f"there is no checkpoint in {folder} to resume from; train with save_steps above 0 first")
    return found


def _arguments(config: TuneConfig) -> SFTConfig:
    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(Path(config.out) / CHECKPOINTS),
        num_train_epochs=1,  # further rounds over the corpus are written out as examples with other wordings
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=1,  # not used: token_batches makes the batches
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        adam_beta2=0.98,
        gradient_checkpointing=config.gradient_checkpointing,
        bf16=config.bf16,
        use_cpu=not cuda,
        max_length=None,  # TRL would cut longer examples silently; write_examples refuses them
        dataset_kwargs={"skip_prepare_dataset": True},
        accelerator_config={"even_batches": False},
        logging_steps=config.logging_steps,
        logging_first_step=True,
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 500,
        save_total_limit=2,
        report_to="none",
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=cuda,
    )
