import numpy as np
import pytest

from facelm.lm.instructions import TASKS, animate_request, describe_request, example, templates, told

ROW = {
    "id": "train-1",
    "seconds": 3.2,
    "plan": "0.0-1.4 s slight sad; 1.4-3.2 s nod",
    "prompts": ["Look sad.", "Be {sad} and {motion}."],
    "captions": ["The face is sad."],
    "questions": [{"question": "Does it nod?", "answer": "Yes."}],
}
CODES = np.zeros((20, 5), np.int64)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_dozen_wordings_that_hold_what_they_must(task):
    words = templates(task)
    assert len(words) >= 12 and len(set(words)) == len(words)
    needed = {"describe": ["{motion}"], "question": ["{motion}", "{question}"], "words": ["{plan}"]}
    for text in words:
        assert all(name in text for name in needed.get(task, ["{prompt}"]))
        assert task != "duration" or "{seconds}" in text or "{short}" in text


@pytest.mark.parametrize("task", ["animate", "duration"])
def test_the_plan_comes_before_the_motion_letter_by_letter(task):
    for seed in range(20):
        user, assistant = example(task, ROW, CODES, np.random.default_rng(seed))
        plan, motion = assistant["content"]
        assert plan == {"type": "text", "text": ROW["plan"]} and motion["motion"] is CODES
        asked = "".join(part["text"] for part in user["content"])
        assert any(prompt in asked for prompt in ROW["prompts"])
        assert ("3.2" in asked) == (task == "duration")


@pytest.mark.parametrize("task", ["describe", "question"])
def test_a_motion_is_asked_about_and_answered_in_words(task):
    user, assistant, *_ = example(task, ROW, CODES, np.random.default_rng(0))
    assert [part["type"] for part in user["content"]].count("motion") == 1
    assert assistant["content"][0]["text"].endswith("The face is sad." if task == "describe" else "Yes.")


def test_a_description_is_noted_then_told_and_questions_follow():
    user, noted, asked, answered = example("describe", ROW, CODES, np.random.default_rng(0))
    assert noted["content"][0]["text"] == ROW["plan"] + "\nThe face is sad."
    assert told(noted["content"][0]["text"]) == "The face is sad." == told("The face is sad.")
    assert (asked["content"], answered["content"]) == ("Does it nod?", "Yes.")
    assert len(example("describe", ROW | {"questions": [], "plan": ""}, CODES, np.random.default_rng(0))) == 2


def test_plans_and_words_are_learnt_without_motion():
    for seed in range(20):
        user, assistant = example("plan", ROW, CODES, np.random.default_rng(seed))
        assert assistant["content"] == [{"type": "text", "text": ROW["plan"]}]
        assert any(prompt in user["content"][0]["text"] for prompt in ROW["prompts"])
        user, assistant = example("words", ROW, CODES, np.random.default_rng(seed))
        assert ROW["plan"] in user["content"][0]["text"] and assistant["content"][0]["text"] in ROW["captions"]


def test_braces_that_a_user_types_stay():
    assert animate_request("a {seconds} {0} {motion}") == [{"type": "text", "text": "a {seconds} {0} {motion}"}]
    assert "{prompt} {" in animate_request("{prompt} {", seconds=3.0)[0]["text"]
    assert describe_request(CODES, "what {is} {motion}?")[-1]["text"].endswith("what {is} {motion}?")
