"""Stand-ins for models and judges that know the answers, or none: how perfect and useless models score."""

import numpy as np

from facelm.corpus import motion
from facelm.corpus.performer import perform
from facelm.describe import Plan
from facelm.errors import FacelmError


class Keeps:
    """A motion tokenizer that loses nothing."""

    def encode_batch(self, motions):
        return list(motions)

    def decode_batch(self, motions):
        return list(motions)


class Puppet:
    """Like FaceLM: performs the plan behind each prompt and says the caption behind each motion of a split's rows."""

    def __init__(self, rows, knows=True, deaf_over=1e9):
        self.plans = {prompt: row["plan"] for row in rows for prompt in row["prompts"]}
        self.captions = {motion(row).values.tobytes(): row["captions"][0] for row in rows}
        self.answers = {
            (motion(row).values.tobytes(), pair["question"]): pair["answer"]
            for row in rows
            for pair in row["questions"]
        }
        self.knows, self.deaf_over = knows, deaf_over
        self.processor = type("Processor", (), {"motion_tokenizer": Keeps()})()

    def animate_batch(self, texts, seed=None, candidates=1):
        plans = [Plan.parse(self.plans[text] if self.knows else "0.0-2.0 s neutral") for text in texts]
        return [
            perform(plan, np.random.default_rng(seed + i * candidates)).with_metadata(plan=plan.text())
            for i, plan in enumerate(plans)
        ]

    def describe_batch(self, motions, question=None):
        if any(m.seconds > self.deaf_over for m in motions):
            raise FacelmError("the motion is too long")
        if question is not None:
            return [self.answers[m.values.tobytes(), question] if self.knows else "No idea." for m in motions]
        return [self.captions[m.values.tobytes()] if self.knows else "Nothing." for m in motions]


class Sage:
    """Like a retrieval judge that knows what every motion and every prompt shows: random vectors of their values."""

    kind, layout, fingerprint = "text", "arkit", "0123456789abcdef"

    def __init__(self, clips):
        self.of = {clip.prompt: clip.motion for clip in clips}
        self.of |= {caption: clip.motion for clip in clips for caption in clip.captions}

    def embed_motions(self, motions):
        if any(m.layout.name != self.layout for m in motions):
            raise FacelmError(f"this judge was trained on {self.layout}")
        return self._vectors(motions)

    def _vectors(self, motions):
        mixing = np.random.default_rng(0).normal(size=(110, 16))
        return np.stack([np.concatenate([m.values.mean(0), m.values.std(0)]) @ mixing for m in motions])

    def embed_texts(self, texts):
        still = np.zeros((1, 16))
        return np.concatenate([self._vectors([self.of[t]]) if t in self.of else still for t in texts])

    def embed_audio(self, sounds):
        return np.stack([np.full(16, float(np.abs(sound).mean())) for sound in sounds])
