import json

import numpy as np
import pytest
import torch

from facelm.errors import FacelmError
from facelm.motion import FaceMotion, layout
from facelm.tokenizer import EncodedMotion, MotionTokenizer, StreamConfig, TokenizerConfig, face_streams
from facelm.tokenizer import model as model_module
from facelm.tokenizer.objective import vertex_basis
from facelm.tokenizer.start import Clips, initialise

ARKIT = layout("arkit")


def motion_of(frames: int, seed: int = 0, fps: float = 25.0) -> FaceMotion:
    """Slow random movements of every channel."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6, ARKIT.width), rng.uniform(1, 6, ARKIT.width)
    values = 0.5 + 0.5 * np.sin(phase + speed * np.arange(frames)[:, None] / fps)
    values[:, ARKIT.indices(("headYaw", "headPitch", "headRoll"))] -= 0.5
    return FaceMotion(values.astype(np.float32) * 0.6, fps)


@pytest.fixture(scope="module")
def tokenizer() -> MotionTokenizer:
    """Started from data, with noise in every weight so that the convolutions take part."""
    from facelm.rig import load_rig

    torch.manual_seed(0)
    config = TokenizerConfig(streams=face_streams(24, 20, 16, 12), width=8)
    model = MotionTokenizer(config)
    clips = Clips([motion_of(60, s).values for s in range(20)], ARKIT, 4)
    initialise(model, clips, vertex_basis(load_rig(), ARKIT, 8, 8))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    return model.eval()


def test_every_channel_is_in_one_stream_and_a_step_is_four_frames(tokenizer):
    encoded = tokenizer.encode(motion_of(41))
    assert [s.name for s in tokenizer.streams] == ["left", "right", "centre", "eyes", "head"]
    assert encoded.codes.shape == (11, 5) and encoded.codes.dtype == np.int64 and encoded.frames == 41
    assert tokenizer.rate == 6.25
    decoded = tokenizer.decode(encoded)
    assert decoded.values.shape == (41, 55) and decoded.fps == 25
    assert len(tokenizer.decode(encoded.codes)) == 44
    columns = sorted(c for i in range(5) for c in tokenizer.columns(i))
    assert columns == list(range(55))


def test_a_mirrored_motion_has_left_and_right_codes_swapped(tokenizer):
    motion = motion_of(83)
    codes, mirrored = tokenizer.encode(motion).codes, tokenizer.encode(motion.mirror()).codes
    assert (codes[:, 0] != codes[:, 1]).any()
    np.testing.assert_array_equal(mirrored[:, 0], codes[:, 1])
    np.testing.assert_array_equal(mirrored[:, 1], codes[:, 0])
    swapped = codes.copy()
    swapped[:, [0, 1]] = codes[:, [1, 0]]
    both = tokenizer.columns(0) + tokenizer.columns(1)
    there = tokenizer.decode(swapped).values[:, both]
    np.testing.assert_array_equal(there, tokenizer.decode(codes).mirror().values[:, both])


def test_the_rest_pose_is_code_0_and_code_0_is_the_rest_pose(tokenizer):
    rest = FaceMotion(np.zeros((30, 55), np.float32), 25)
    assert (tokenizer.encode(rest).codes == 0).all()
    assert np.abs(tokenizer.decode(np.zeros((9, 5), int)).values).max() == 0


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_short_motions_repeat_their_last_frame_to_fill_the_step(tokenizer, frames):
    motion = motion_of(frames)
    encoded = tokenizer.encode(motion)
    full = np.pad(motion.values, ((0, -frames % 4), (0, 0)), "edge")
    np.testing.assert_array_equal(encoded.codes, tokenizer.encode(FaceMotion(full, 25)).codes)
    assert len(tokenizer.decode(encoded)) == frames


def test_a_batch_of_unequal_lengths_equals_one_by_one(tokenizer):
    motions = [motion_of(n, seed) for seed, n in enumerate((7, 130, 1, 64, 65))]
    together = tokenizer.encode_batch(motions)
    for motion, encoded in zip(motions, together, strict=True):
        np.testing.assert_array_equal(encoded.codes, tokenizer.encode(motion).codes)
    for encoded, decoded in zip(together, tokenizer.decode_batch(together), strict=True):
        np.testing.assert_allclose(decoded.values, tokenizer.decode(encoded).values, atol=1e-6)


def test_pieces_of_a_long_motion_equal_the_whole(tokenizer, monkeypatch):
    motion = motion_of(403)
    whole = tokenizer.encode(motion)
    values = tokenizer.decode(whole).values
    monkeypatch.setattr(model_module, "CHUNK_STEPS", 7)
    np.testing.assert_array_equal(tokenizer.encode(motion).codes, whole.codes)
    np.testing.assert_allclose(tokenizer.decode(whole).values, values, atol=1e-6)


def test_other_rates_and_layouts_are_converted(tokenizer):
    motion = motion_of(120, fps=60.0)
    assert tokenizer.encode(motion).frames == pytest.approx(50, abs=1)
    fast = motion_of(100)
    np.testing.assert_array_equal(tokenizer.encode(fast.to("livelink")).codes, tokenizer.encode(fast).codes)


def test_saved_and_loaded_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "t")
    loaded = MotionTokenizer.from_pretrained(tmp_path / "t")
    motion = motion_of(50)
    assert loaded.fingerprint == tokenizer.fingerprint and len(loaded.fingerprint) == 16
    np.testing.assert_array_equal(loaded.encode(motion).codes, tokenizer.encode(motion).codes)
    a, b = (t.decode(t.encode(motion)).values for t in (loaded, tokenizer))
    np.testing.assert_array_equal(a, b)
    assert loaded.codebook("left").shape == (24, 52)
    assert loaded.codebook("head").shape == (12, 12)
    torch.testing.assert_close(loaded.codebook("left"), loaded.codebook("right"), rtol=0, atol=0)


def test_the_fingerprint_follows_the_weights(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    other = MotionTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        other.network("left").scale[0] += 1
    assert other.fingerprint != tokenizer.fingerprint


def test_missing_and_damaged_files_are_said(tokenizer, tmp_path):
    with pytest.raises(FacelmError, match="has no config.json"):
        MotionTokenizer.from_pretrained(tmp_path / "nowhere")
    tokenizer.save_pretrained(tmp_path)
    good = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(good[: len(good) // 2])
    with pytest.raises(FacelmError, match="damaged"):
        MotionTokenizer.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(good[:-4] + b"\x00\x00\x80\x3f")
    with pytest.raises(FacelmError, match="do not belong together"):
        MotionTokenizer.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(good)
    text = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(text | {"version": 99}))
    with pytest.raises(FacelmError, match="format 99"):
        MotionTokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FacelmError, match="config.json"):
        MotionTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (np.zeros((0, 5), int), "at least one step"),
        (np.zeros((3, 4), int), r"\(3, 4\)"),
        (np.zeros((3, 5)), "whole numbers"),
        (np.array([[0, 0, 0, 0, 0], [0, 0, 20, 0, 0]]), "step 1: code 20 of centre"),
        (EncodedMotion(np.zeros((2, 5), int), frames=9), "can't make 9 frames"),
    ],
)
def test_wrong_tokens_are_said(tokenizer, tokens, says):
    with pytest.raises(FacelmError, match=says):
        tokenizer.decode(tokens)


def test_wrong_streams_are_said():
    streams = face_streams()
    with pytest.raises(FacelmError, match="did you mean jawOpen"):
        config_with(streams[2], ("jawOpem",))
    with pytest.raises(FacelmError, match="two streams"):
        TokenizerConfig(streams=(*streams, StreamConfig("again", ("jawOpen",))))
    with pytest.raises(FacelmError, match="no stream has the channels headYaw"):
        TokenizerConfig(streams=streams[:-1])
    with pytest.raises(FacelmError, match="share weights but differ"):
        TokenizerConfig(streams=(streams[0], StreamConfig("right", streams[1].channels, 7, "left"), *streams[2:]))
    with pytest.raises(FacelmError, match="width"):
        TokenizerConfig(width=0)
    with pytest.raises(FacelmError, match="unknown key 'widht', nearest is width"):
        TokenizerConfig.from_dict({"widht": 3})


def config_with(stream: StreamConfig, channels: tuple[str, ...]) -> TokenizerConfig:
    rest = tuple(s for s in face_streams() if s.name != stream.name)
    return TokenizerConfig(streams=(*rest, StreamConfig(stream.name, channels)))


def test_upper_codes_part_brows_from_mouth():
    streams = face_streams(upper=32)
    assert [s.name for s in streams][:4] == ["left_upper", "left_mouth", "right_upper", "right_mouth"]
    assert streams[2].weights == "left_upper" and streams[3].weights == "left_mouth"
    assert (
        TokenizerConfig.from_dict(json.loads(json.dumps(TokenizerConfig(streams=streams).to_dict()))).streams == streams
    )
