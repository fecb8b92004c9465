"""The words for everything a face can do: one lexicon for writing sentences and for reading them.

A phrase is a verb and what follows it, so that it can be said as a command ("smile") or of somebody ("smiles").
"""

# Emotion -> adjectives, then nouns.
EMOTION_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "happy": (("happy", "joyful", "cheerful", "delighted"), ("happiness", "joy")),
    "sad": (("sad", "sorrowful", "unhappy", "downcast"), ("sadness", "sorrow")),
    "surprised": (("surprised", "astonished", "startled"), ("surprise", "astonishment")),
    "afraid": (("afraid", "scared", "frightened", "fearful"), ("fear", "fright")),
    "angry": (("angry", "furious", "annoyed"), ("anger", "annoyance")),
    "disgusted": (("disgusted", "repelled", "revolted"), ("disgust", "revulsion")),
    "contemptuous": (("contemptuous", "scornful", "disdainful"), ("contempt", "scorn")),
    "happily surprised": (("happily surprised", "pleasantly surprised"), ("happy surprise",)),
    "happily disgusted": (("happily disgusted", "amused and disgusted"), ("happy disgust",)),
    "sadly angry": (("sadly angry", "both sad and angry"), ("sad anger",)),
    "sadly afraid": (("sadly afraid", "both sad and afraid"), ("sad fear",)),
    "fearfully surprised": (("fearfully surprised", "both afraid and surprised"), ("fearful surprise",)),
    "angrily disgusted": (("angrily disgusted", "both angry and disgusted"), ("angry disgust",)),
}

# Unit -> (verb, object for both sides or the middle, object for one side) with {side}.
UNIT_WORDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "AU1": (("raise", "the inner brows", ""), ("lift", "the inner eyebrows", ""), ("pull", "the inner brows up", "")),
    "AU2": (
        ("raise", "the outer brows", "the {side} outer brow"),
        ("raise", "both outer brows", "the {side} outer brow"),
        ("lift", "the outer eyebrows", "the outer end of the {side} eyebrow"),
    ),
    "AU4": (
        ("lower", "the brows", "the {side} brow"),
        ("furrow", "the brows", "the {side} brow"),
        ("lower", "both brows", "the {side} brow"),
        ("pull", "the eyebrows down", "the {side} eyebrow down"),
    ),
    "AU5": (
        ("widen", "the eyes", "the {side} eye"),
        ("open", "the eyes wide", "the {side} eye wide"),
        ("widen", "both eyes", "the {side} eye"),
        ("raise", "the upper eyelids", "the {side} upper eyelid"),
    ),
    "AU6": (
        ("raise", "the cheeks", "the {side} cheek"),
        ("lift", "the cheeks", "the {side} cheek"),
        ("raise", "both cheeks", "the {side} cheek"),
    ),
    "AU7": (
        ("squint", "with the eyes", "with the {side} eye"),
        ("tighten", "the eyelids", "the {side} eyelid"),
        ("narrow", "the eyes", "the {side} eye"),
        ("narrow", "both eyes", "the {side} eye"),
    ),
    "AU9": (
        ("wrinkle", "the nose", "the {side} side of the nose"),
        ("scrunch", "the nose", "the {side} side of the nose"),
        ("wrinkle", "both sides of the nose", "the {side} side of the nose"),
    ),
    "AU10": (
        ("raise", "the upper lip", "the {side} side of the upper lip"),
        ("curl", "the upper lip up", "the upper lip up on the {side}"),
        ("raise", "both sides of the upper lip", "the {side} side of the upper lip"),
    ),
    "AU12": (
        ("smile", "", "on the {side}"),
        ("smile", "with both corners of the mouth", "with the {side} corner of the mouth"),
        ("pull", "both lip corners up", "the {side} lip corner up"),
        ("smirk", "on both sides", "on the {side}"),
    ),
    "AU14": (
        ("dimple", "the cheeks", "the {side} cheek"),
        ("tighten", "both corners of the mouth", "the {side} corner of the mouth"),
    ),
    "AU15": (
        ("pull", "the lip corners down", "the {side} lip corner down"),
        ("turn", "both corners of the mouth down", "the {side} corner of the mouth down"),
    ),
    "AU16": (
        ("pull", "the lower lip down", "the {side} side of the lower lip down"),
        ("drop", "the lower lip", "the {side} side of the lower lip"),
        ("drop", "both sides of the lower lip", "the {side} side of the lower lip"),
    ),
    "AU17": (("raise", "the chin", ""), ("push", "the chin up", "")),
    "AU18": (("pucker", "the lips", ""), ("purse", "the lips", "")),
    "AU19": (("stick", "the tongue out", ""), ("show", "the tongue", "")),
    "AU20": (
        ("stretch", "the lips", "the lips to the {side}"),
        ("pull", "both lip corners back", "the {side} lip corner back"),
    ),
    "AU22": (("funnel", "the lips", ""), ("push", "the lips out into a funnel", "")),
    "AU24": (
        ("press", "the lips together", "the lips together on the {side}"),
        ("squeeze", "the lips", "the lips on the {side}"),
        ("press", "the lips together on both sides", "the lips together on the {side}"),
    ),
    "AU26": (("open", "the jaw", ""), ("open", "the mouth", ""), ("drop", "the jaw", "")),
    "AU28": (("suck", "the lips in", ""), ("roll", "the lips inward", "")),
    "AU29": (("push", "the jaw forward", ""), ("thrust", "the jaw out", "")),
    "AU30": (("slide", "", "the jaw to the {side}"), ("move", "", "the jaw {side}")),
    "AU34": (("puff", "the cheeks", ""), ("blow", "the cheeks up", "")),
    "AU43": (
        ("close", "the eyes", "the {side} eye"),
        ("shut", "both eyes", "the {side} eye"),
        ("wink", "", "with the {side} eye"),
    ),
    "M60": (("move", "", "the mouth to the {side}"), ("shift", "", "the mouth {side}")),
}
HEAD_PHRASES: dict[tuple[str, str | None], tuple[tuple[str, str], ...]] = {
    ("nod", None): (("nod", ""), ("nod", "the head"), ("nod", "in agreement")),
    ("shake", None): (("shake", "the head"), ("turn", "the head from side to side")),
    ("up", None): (("lift", "the head"), ("tip", "the head back"), ("raise", "the head")),
    ("down", None): (("lower", "the head"), ("bow", "the head"), ("drop", "the head")),
    ("turn", "left"): (("turn", "the head to the left"), ("turn", "left"), ("turn", "the head left")),
    ("turn", "right"): (("turn", "the head to the right"), ("turn", "right"), ("turn", "the head right")),
    ("tilt", "left"): (("tilt", "the head to the left"), ("tilt", "the head left"), ("lean", "the head to the left")),
    ("tilt", "right"): (
        ("tilt", "the head to the right"),
        ("tilt", "the head right"),
        ("lean", "the head to the right"),
    ),
}
GAZE_PHRASES: dict[str, tuple[tuple[str, str], ...]] = {
    "left": (("look", "to the left"), ("look", "left"), ("glance", "to the left")),
    "right": (("look", "to the right"), ("look", "right"), ("glance", "to the right")),
    "up": (("look", "up"), ("glance", "up"), ("look", "upward")),
    "down": (("look", "down"), ("glance", "down"), ("look", "downward")),
}
BLINK_PHRASES: dict[str, tuple[tuple[str, str], ...]] = {
    "once": (("blink", ""), ("blink", "once")),
    "twice": (("blink", "twice"), ("blink", "two times")),
    "three times": (("blink", "three times"),),
}
ADVERBS = {
    "slight": ("slightly", "a little", "faintly", "subtly"),
    "moderate": ("moderately", "clearly"),
    "strong": ("strongly", "very much", "intensely", "hard"),
}
DEGREES = {  # before an emotion's adjective
    "slight": ("slightly", "a little", "faintly"),
    "moderate": ("", "", "moderately", "clearly"),
    "strong": ("very", "extremely", "intensely"),
}
AMOUNTS = {  # before an emotion's noun
    "slight": ("slight", "faint", "a little"),
    "moderate": ("", "", "moderate", "clear"),
    "strong": ("strong", "great", "intense"),
}
SHOW_VERBS = ("show", "express", "feel")
LOOK_VERBS = ("look", "seem", "appear")
NEUTRAL_PHRASES = (("stay", "neutral"), ("keep", "a neutral face"), ("look", "neutral"), ("relax", "the face"))
