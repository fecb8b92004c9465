"""A model folder: an adapter or full weights, the processor, and `facelm.json`.

`facelm.json` says the version, the kind ("adapter" or "full"), the base, and the vocabulary with the fingerprint of
the motion tokenizer the model was trained with; another tokenizer is refused.
"""

from pathlib import Path
from typing import Any

from facelm.errors import FacelmError
from facelm.files import atomic_folder
from facelm.lm.processor import FACTS, FaceProcessor, read_facts
from facelm.lm.vocabulary import CHAT_END, Vocabulary


def load_model(
    folder: str | Path, base: str | None = None, motion_tokenizer: Any = None, trainable: bool = False
) -> tuple[Any, FaceProcessor]:
    """The model (float32, in eval mode) and processor of a folder that `save_model` wrote.

    `base` replaces the base an adapter names, when that was moved. Raises FacelmError when files are missing, the
    base has changed, or the motion tokenizer is not the one the model was trained with.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    facts = read_facts(folder)
    processor = FaceProcessor.from_pretrained(folder, motion_tokenizer)
    if facts.get("kind") == "full":
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
        return model.train(trainable), processor
    from peft import PeftModel

    name = base or _beside(facts.get("base", ""), folder)
    model, text_tokenizer, _ = extended_base(name, processor.vocabulary)
    if text_tokenizer.get_vocab() != processor.tokenizer.get_vocab():
        raise FacelmError(f"the base {name} has other words than the one {folder} was trained on; give that base")
    model = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    return model.train(trainable), processor


def extended_base(
    base: str, vocabulary: Vocabulary, codebooks: dict[str, Any] | None = None
) -> tuple[Any, Any, list[int]]:
    """(model, text tokenizer, ids of the rows to train) of a base with the vocabulary in it.

    `base` is a folder or a Hub id of any causal LM, or a folder of a full facelm model, which has the tokens already.
    Raises FacelmError when there is no such base, or it was trained with another motion tokenizer.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if (Path(base) / FACTS).is_file():
        facts = read_facts(base)
        if facts.get("kind") != "full":
            raise FacelmError(f"{base} is an adapter; run `facelm merge {base} --out DIR` and use DIR as the base")
        known = Vocabulary.from_dict(facts.get("vocabulary", {}))
        if known.fingerprint != vocabulary.fingerprint:
            raise FacelmError(
                f"{base} was trained with motion tokenizer {known.fingerprint}, not {vocabulary.fingerprint}; "
                "use its own, or start from a base that knows no motion"
            )
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise FacelmError(
            f"the base '{base}' is neither a folder with a causal LM nor found on the Hub "
            f"({str(error).splitlines()[0]}); make one with `facelm base NAME --out {base}`"
        ) from None
    new = vocabulary.extend(model, tokenizer, codebooks)
    tokenizer.eos_token = CHAT_END
    tokenizer.pad_token = tokenizer.pad_token or CHAT_END
    for settings in (model.config, model.generation_config):
        settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return model, tokenizer, new or vocabulary.ids(tokenizer).all.tolist()


def save_model(model: Any, processor: FaceProcessor, out: str | Path, base: str) -> None:
    """Write a model (a PeftModel becomes an adapter) with its processor into a folder, all or nothing.

    Raises FacelmError when the folder holds a model of the other kind.
    """
    from peft import PeftModel

    kind = "adapter" if isinstance(model, PeftModel) else "full"
    if (Path(out) / FACTS).is_file() and read_facts(out).get("kind") != kind:
        raise FacelmError(f"{out} holds a model of another kind; choose another folder for this {kind} model")
    with atomic_folder(out) as folder:
        if kind == "adapter":
            for config in model.peft_config.values():
                config.base_model_name_or_path = str(base)
            # Only the new rows are saved: the whole table would be a hundred times larger.
            model.save_pretrained(str(folder), save_embedding_layers=False)
        else:
            model.save_pretrained(str(folder))
        processor.save_pretrained(folder, kind=kind, base=str(base))


def merge_model(folder: str | Path, out: str | Path, base: str | None = None) -> None:
    """Write the full model of an adapter folder: same answers, no PEFT needed to load it.

    Raises FacelmError when the folder is no adapter.
    """
    facts = read_facts(folder)
    if facts.get("kind") != "adapter":
        raise FacelmError(f"{folder} is a full model already; there is nothing to merge")
    model, processor = load_model(folder, base)
    merged = model.merge_and_unload()
    merged.tie_weights()
    save_model(merged, processor, out, facts.get("base", ""))


def _beside(base: str, folder: Path) -> str:
    """The base as named, or a folder of its name beside the adapter when both were moved."""
    moved = folder.resolve().parent / Path(base).name
    if base and not Path(base).exists() and moved.is_dir():
        return str(moved)
    return base
