"""What a well-behaved language model answers the annotator, for the server of loopback.py."""

GOOD = {
    "action": {"text": "The person talks and then smiles."},
    "emotion": {"text": "The person looks happy all the time."},
    "expression": {"text": "The lip corners rise on both sides, then they sink again."},
    "head_pose": {"text": "The head stays still."},
    "scenarios": {"scenarios": ["She meets an old friend.", "He hears good news.", "She finds her lost keys."]},
    "summary": {"text": "A person talks, then smiles happily."},
    "questions": {
        "questions": [{"question": f"What is {n}?", "answer": "A smile."} for n in ("first", "next", "last")]
    },
}


def kind_of(question: str) -> str:
    starts = {
        "Say what the person does": "action",
        "Say which emotion": "emotion",
        "Describe how the face": "expression",
        "Describe how the head": "head_pose",
        "A person's face is described": "scenarios",
    }
    for start, kind in starts.items():
        if question.startswith(start):
            return kind
    return "summary" if "Put the whole into one sentence" in question else "questions"
