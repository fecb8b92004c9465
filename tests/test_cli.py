"""The verbs, end to end with a random model; what goes wrong is one sentence and exit code 2."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_model import make_tiny, wave

from facelm.cli import main
from facelm.motion import FaceMotion, load_motion

PLAN = "0.0-0.6 s slight sad, nod; 0.6-1.0 s strong dimple left"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from facelm.lm.folder import save_model

    folder = tmp_path_factory.mktemp("tiny")
    save_model(*make_tiny(folder), folder / "model", "nano")
    return str(folder / "model")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wave(2.0).save("take.csv")
    wave(2.0).save("take.npz")
    return tmp_path


def run(*arguments, stdin=None, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def refused(*arguments):
    """The one sentence of a wrong request."""
    result = run(*arguments, code=2)
    assert result.stderr.startswith("facelm: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def facelm(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "facelm", *arguments], capture_output=True, text=True, **options)


# ---------------------------------------------------------------- help


def test_help_answers_at_once():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert "animate" in facelm("--help").stdout
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


def test_the_command_line_imports_nothing_heavy():
    code = "import sys, facelm, facelm.cli; print({'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def commands(group=main, names=()):
    for name, command in group.commands.items():
        yield (*names, name)
        yield from commands(command, (*names, name)) if hasattr(command, "commands") else ()


@pytest.mark.parametrize("names", list(commands()), ids=" ".join)
def test_every_verb_shows_a_worked_example(names):
    text = run(*names, "--help").output
    example = " ".join(text.split("Example")[1].split())
    assert f"facelm {' '.join(names)}" in example


# ---------------------------------------------------------------- with a model


def test_animate_writes_what_the_ending_says_and_prints_its_plan(model, here):
    result = run("animate", "smile", "--model", model, "--out", "a.npz", "--plan", PLAN, "--seed", 3)
    assert f"plan: {PLAN}" in result.output and "a.npz: 1.00 s, 25 frames at 25 fps, seed 3" in result.output
    motion = FaceMotion.load("a.npz")
    assert motion.metadata["plan"] == PLAN and motion.metadata["prompt"] == "smile" and motion.metadata["seed"] == "3"
    assert motion.metadata["generator"].startswith("facelm ")
    run("animate", "smile", "--model", model, "--out", "a.csv", "--plan", PLAN, "--seed", 3)
    again, report = load_motion("a.csv")
    assert np.allclose(again.to("arkit").values[:, :52], motion.values[:, :52], atol=1e-6) and not report.mended
    assert sorted(p.name for p in here.iterdir()) == ["a.csv", "a.npz", "take.csv", "take.npz"]


def test_animate_writes_a_glb_with_its_plan(model, here):
    run("animate", "smile", "--model", model, "--out", "a.glb", "--plan", PLAN, "--seconds", 0.6)
    content = (here / "a.glb").read_bytes()
    assert content[:4] == b"glTF" and b"0.0-0.4 s slight sad, nod; 0.4-0.6 s strong dimple left" in content


def test_animate_of_exact_length_and_candidates(model, here):
    run("animate", "nod", "--model", model, "--out", "a.npz", "--seconds", 1.2, "--candidates", 2, "--seed", 0)
    assert len(FaceMotion.load("a.npz")) == 30


@pytest.mark.parametrize("take", ["take.csv", "take.npz"])
def test_describe_says_something(model, here, take):
    first = run("describe", take, "--model", model)
    assert first.stdout == run("describe", take, "--model", model).stdout and first.stderr == ""
    run("describe", take, "--model", model, "--question", "Does the head move?")


def test_describe_in_parts_covers_the_take(model, here):
    lines = run("describe", "take.csv", "--model", model, "--every", "0.7").stdout.splitlines()
    times = [tuple(map(float, line.split(" s", 1)[0].split("-"))) for line in lines]
    assert len(times) == 3 and times[0][0] == 0.0 and times[-1][1] == 2.0
    assert all(before[1] == after[0] for before, after in zip(times, times[1:], strict=False))


def test_describe_of_one_frame(model, here):
    wave(0.04).save("one.npz")
    run("describe", "one.npz", "--model", model)


def test_chat_through_a_pipe(model, here):
    lines = [
        "/help",
        "/load take.csv",
        "What is <|im_start|> this?",
        "",
        "/save same.npz",
        "/new",
        "/quit",
        "never said",
    ]
    result = run("chat", "--model", model, "--seed", 0, stdin="\n".join(lines))
    assert (
        "/load FILE" in result.output and "take.csv: 2.00 s" in result.output and "a new conversation" in result.output
    )
    assert (here / "same.npz").exists() and "never said" not in result.output


def test_chat_goes_on_after_a_wrong_line_and_says_so_at_the_end(model, here):
    np.savez("hours.npz", values=np.zeros((3 * 3600 * 25, 55), np.float32), fps=25.0, layout="arkit")
    lines = [
        "/save out.glb",
        "/load nothing.csv",
        "/load hours.npz",
        "/load",
        "/dance",
        "nod " * 3000,
        "/load take.csv",
    ]
    result = run("chat", "--model", model, stdin="\n".join(lines), code=2)
    assert [line.split(": ", 1)[0] for line in result.stderr.splitlines()] == ["facelm"] * 6
    for words in (
        "no motion to save yet",
        "nothing.csv",
        "10800 s",
        "/load needs a file",
        "no command /dance",
        "start a new",
    ):
        assert words in result.stderr
    assert "take.csv: 2.00 s" in result.stdout


def test_chat_as_a_process(model, here):
    result = facelm("chat", "--model", model, "--seed", "1", input="smile\n/quit\n", cwd=here)
    assert result.returncode == 0 and result.stderr == "", result.stderr


def test_info_of_a_model(model):
    text = run("info", model).output
    fingerprint = json.loads(open(f"{model}/facelm.json").read())["vocabulary"]["fingerprint"]
    for words in ("nano", "(full, ", fingerprint, "left 8, right 8, centre 8, eyes 6, head 5", "context 1024", "MB"):
        assert words in text


def test_merge_of_an_adapter_loads_through_transformers_alone(model, here):
    import torch
    from transformers import AutoModelForCausalLM

    from facelm.agent import FaceLM
    from facelm.lm.folder import load_model, save_model
    from facelm.lm.tuning import add_adapter

    whole, processor = load_model(model)
    adapted = add_adapter(whole, processor.ids.all.tolist(), 2, 4)
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    save_model(adapted, processor, "adapter", model)
    result = facelm("animate", "nod", "--model", "adapter", "--out", "a.npz", "--plan", PLAN)  # no library chatters
    assert result.stderr == "" and result.stdout.startswith("plan: "), result.stderr
    text = run("info", "adapter").output
    assert "LORA, rank 2, alpha 4" in text and model in text and "(adapter, " in text
    run("merge", "adapter", "--out", "merged")
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        merged = AutoModelForCausalLM.from_pretrained("merged")(ids).logits
        assert torch.allclose(merged, load_model("adapter")[0].eval()(ids).logits, atol=1e-4)
        assert not torch.allclose(merged, load_model(model)[0](ids).logits, atol=1e-2)
    one, other = (FaceLM.from_pretrained(folder).animate("nod", 1.0, seed=0) for folder in ("adapter", "merged"))
    assert one == other
    assert "nothing to merge" in refused("merge", model, "--out", "again")


def test_corpus_base_and_evaluate_follow_each_other(model, here):
    assert "train clips" in run("corpus", "synth", "--hours", 0.02, "--seed", 1, "--out", "corpus").output
    run("base", "nano", "--corpus", "corpus", "--out", "nano")
    assert (here / "nano" / "config.json").is_file()
    names = "text-to-motion,captioning"
    result = run("evaluate", model, "--data", "corpus", "--benchmark", names, "--prompts", 4, "--out", "scores.json")
    assert f"{model} on 4 clips of corpus (test)" in result.stdout and "| rest pose" in result.stdout
    found = json.loads((here / "scores.json").read_text())["results"]
    assert [entry["n"] for entry in found] == [4, 4] and (here / "scores.npz").is_file()
    assert "corpus" in refused("corpus", "synth", "--hours", 1, "--out", "corpus")
    assert "--corpus DIR" in refused("base", "nano", "--out", "other")
    assert "absent" in refused("evaluate", model, "--data", "absent")
    assert "unknown benchmark dancing" in refused("evaluate", model, "--data", "corpus", "--benchmark", "dancing")
    assert "facelm score" in refused("evaluate", model, "--data", "corpus", "--benchmark", "speech", "--prompts", 2)


def test_others_take_part_with_a_folder(here):
    run("corpus", "synth", "--hours", 0.02, "--seed", 1, "--out", "corpus")
    assert "4 clips to answer" in run("score", "--template", "corpus", "--prompts", 4, "--out", "asked").stdout
    asked = [json.loads(line) for line in (here / "asked" / "prompts.jsonl").read_text().splitlines()]
    (here / "theirs").mkdir()
    for line in asked:
        wave(line["seconds"]).save(here / "theirs" / f"{line['file']}.csv")
        (here / "theirs" / f"{line['file']}.txt").write_text("She smiles.")
    arguments = ("score", "theirs", "--data", "corpus", "--prompts", 4)
    found = run(*arguments, "--benchmark", "text-to-motion,captioning", "--out", "theirs.json").stdout
    assert "theirs on 4 clips of corpus (test)" in found and "| nearest training" in found
    (here / "theirs" / f"{asked[0]['file']}.csv").unlink()
    assert f"1 of 4 clips, the first is {asked[0]['id']}" in refused(*arguments)
    assert "1 of 4 motions are missing" in run(*arguments, "--missing", "skip").stdout
    assert "there is no folder nowhere" in refused("score", "nowhere", "--data", "corpus")


# ---------------------------------------------------------------- files


def test_convert_keeps_the_values_and_resamples(here):
    run("convert", "take.csv", "b.npz")
    assert np.allclose(FaceMotion.load("b.npz").values, FaceMotion.load("take.csv").values, atol=1e-6)
    assert "at 50 fps" in run("convert", "take.npz", "c.csv", "--fps", 50).output
    assert "fps" in refused("convert", "take.npz", "d.csv", "--fps", -1)


def test_convert_and_render_write_pictures_and_films(here):
    wave(0.2).save("short.npz")
    run("convert", "short.npz", "short.glb")
    run("render", "short.npz", "--out", "short.png")
    run("render", "short.npz", "--out", "short.gif")
    assert open("short.png", "rb").read(4) == b"\x89PNG" and open("short.gif", "rb").read(3) == b"GIF"


def test_short_rows_are_reported_bridged_or_refused(here, fixtures):
    take = fixtures / "take_30fps_short_rows.csv"
    assert "short rows" in run("convert", take, "a.npz").stderr
    assert "short rows" in refused("convert", take, "b.npz", "--short-rows", "refuse") and not os.path.exists("b.npz")
    run("convert", take, "c.npz", "--short-rows", "drop")
    assert len(FaceMotion.load("c.npz")) < len(FaceMotion.load("a.npz"))
    assert "4 rows without a face" in run("info", take).output


def test_info_of_a_motion(here):
    text = run("info", "take.npz").output
    assert "arkit, 55 channels" in text and "2.00 s, 50 frames at 25 fps" in text
    moving = text.split("2 channels move, from the most:")[1].split()
    assert moving[0] == "jawOpen" and "headYaw" in moving
    wave(0.04).save("one.npz")
    assert "no channel moves" in run("info", "one.npz").output


def test_info_says_what_kind_of_file_it_is_and_what_looks_wrong(here, shared, fixtures):
    text = run("info", shared / "data/livelink/rom_3.csv.gz").output
    assert "(Live Link Face CSV, " in text and "note:" not in text
    assert "HeadYaw, HeadPitch, HeadRoll are zero throughout" in text
    assert "starts at 01:00:00:00.000" in run("info", fixtures / "take_60fps.csv.gz").output
    text = run("info", shared / "data/livelink/apfel_short_rows.csv.gz").output
    assert "35 rows without a face" in text and "missing frames bridged" in text
    text = run("info", shared / "data/news_clips/001.csv").output
    assert "(py-feat CSV, " in text and "12.5 fps" in text and "note: the head angles are py-feat's" in text
    take = load_motion(shared / "data/livelink/facial.csv.gz")[0].to("arkit")
    order = sorted(range(52), key=lambda i: take.layout.names[i])
    FaceMotion(take.values[:, [*order, 52, 53, 54]], take.rate).save("shuffled.npz")
    assert "note: the names look shuffled" in run("info", "shuffled.npz").output


def test_convert_reads_and_writes_the_formats_of_others(here, shared):
    run("convert", "take.csv", "take.glb")
    run("convert", "take.glb", "again.npz")
    expected = FaceMotion.load("take.csv").to("arkit")
    assert np.allclose(FaceMotion.load("again.npz").values, expected.values, atol=1e-5)
    assert "BEAT JSON has no place for headYaw" in run("convert", "take.csv", "take.json").stderr
    run("convert", "take.json", "back.csv")
    assert np.array_equal(FaceMotion.load("back.csv").channel("JawOpen"), expected.channel("jawOpen"))
    result = run("convert", shared / "data/speech_zh/1114_2_01.npz", "speech.csv", "--names", "facegood")
    assert "30 fps" in result.output and "FACEGOOD" in result.stderr
    assert FaceMotion.load("speech.csv").channel("JawOpen").max() > 0.5
    assert "vhap" in refused("convert", "take.csv", "take.npz", "--dialect", "vhap")


def test_convert_with_a_map_and_a_dialect(here):
    from facelm.motion.layout import layout
    from facelm.motion.retarget import LinearMap

    matrix = np.zeros((56, 55), np.float32)
    matrix[53, 17] = 0.3  # the jaw
    LinearMap(layout("arkit"), layout("flame56"), matrix, np.zeros(56)).save("map.npz")
    run("convert", "take.csv", "flame.npz", "--map", "map.npz", "--dialect", "diffposetalk")
    text = run("info", "flame.npz").output
    assert "DiffPoseTalk" in text and "jawX" in text.split("channels move")[1]
    assert "rig map" in refused("convert", "take.csv", "b.csv", "--map", "map.npz")
    assert "none.npz" in refused("convert", "take.csv", "b.npz", "--map", "none.npz")


def test_render_and_convert_show_another_head(here, shared):
    rig = shared / "data/rigs/ict_facekit_exp53.npz"
    wave(0.2).save("short.npz")
    run("render", "short.npz", "--out", "own.png")
    run("render", "short.npz", "--out", "ict.png", "--rig", rig)
    assert open("own.png", "rb").read() != open("ict.png", "rb").read()
    run("convert", "short.npz", "ict.glb", "--rig", rig)
    assert np.allclose(FaceMotion.load("ict.glb").values, FaceMotion.load("short.npz").values, atol=1e-5)
    assert "absent.glb" in refused("render", "short.npz", "--out", "a.png", "--rig", "absent.glb")


def test_names_and_rate_of_files_that_do_not_say_them(here):
    (here / "weights.csv").write_text("Gape,Wink\n0.5,1\n0.25,0\n")
    assert "name table" in refused("convert", "weights.csv", "a.csv")
    (here / "rig.yaml").write_text("channels: {Gape: jawOpen, Wink: eyeBlinkLeft}")
    assert "--input-fps" in refused("convert", "weights.csv", "a.csv", "--names", "rig.yaml")
    run("convert", "weights.csv", "a.csv", "--names", "rig.yaml", "--input-fps", 24)
    motion = FaceMotion.load("a.csv")
    assert motion.fps == 24 and motion.channel("JawOpen").tolist() == [0.5, 0.25]
    run("render", "weights.csv", "--out", "a.png", "--names", "rig.yaml", "--input-fps", 24)
    assert "facegood, ict_facekit" in refused("info", "weights.csv", "--names", "rigg.yaml")


# ---------------------------------------------------------------- wrong requests


def test_missing_files_and_wrong_endings(model, here):
    assert "no.csv" in refused("describe", "no.csv", "--model", model)
    assert "no.csv" in refused("convert", "no.csv", "a.npz")
    assert "no.csv" in refused("info", "no.csv")
    (here / "take.txt").write_text("hello")
    assert "it reads CSV, JSON, glTF" in refused("info", "take.txt")
    assert ".glb" in refused("convert", "take.csv", "take.obj")
    assert ".mp4, .gif, .png" in refused("render", "take.csv", "--out", "take.csv")
    assert ".glb" in refused("animate", "smile", "--model", model, "--out", "a.txt")


def test_files_that_hold_no_motion(model, here):
    (here / "table.csv").write_text("name,age\nAda,36\n")
    refused("describe", "table.csv", "--model", model)
    np.savez("nan.npz", values=np.full((5, 55), np.nan, np.float32), fps=25.0, layout="arkit")
    assert "nan" in refused("describe", "nan.npz", "--model", model).lower()
    (here / "broken.npz").write_bytes(b"PK\x03\x04 cut off")
    refused("info", "broken.npz")


def test_three_hours_are_too_long_to_describe(model, here):
    np.savez("hours.npz", values=np.zeros((3 * 3600 * 25, 55), np.float32), fps=25.0, layout="arkit")
    assert "at most" in refused("describe", "hours.npz", "--model", model)


def test_folders_that_are_no_model(here):
    (here / "empty").mkdir()
    for folder in ("empty", "absent"):
        assert f"{folder} is no facelm model" in refused("animate", "smile", "--model", folder, "--out", "a.csv")
        assert folder in refused("info", folder)
    assert "is no facelm model" in refused("chat", "--model", "empty")
    assert "is no facelm model" in refused("merge", "empty", "--out", "full")
    (here / "damaged").mkdir()
    (here / "damaged" / "facelm.json").write_text("{")
    assert "damaged" in refused("describe", "take.csv", "--model", "damaged")
    assert sorted(p.name for p in here.iterdir()) == ["damaged", "empty", "take.csv", "take.npz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], "request is empty"),
        (["smile " * 3000], "too many for the model's context"),
        (["smile", "--plan", "0.0-1.0 s slight hapy"], "'slight happy'"),
        (["smile", "--seconds", "0"], "no frame"),
        (["smile", "--seconds", "9999"], "at most"),
    ],
)
def test_wrong_requests_write_nothing(model, here, arguments, words):
    assert words in refused("animate", *arguments, "--model", model, "--out", "a.csv")
    assert not list(here.glob("*a.csv*"))


def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_loaded(here, monkeypatch):
    monkeypatch.setattr("facelm.cli.model.load_lm", lambda _: pytest.fail("loaded the model"))
    (here / "a").write_text("a file")
    for out in ("a/b.csv", "/proc/a.csv", "/proc/a/b.csv"):
        assert "choose another output" in refused("animate", "smile", "--model", "any", "--out", out)
    (here / "folder.csv").mkdir()
    assert "is a folder" in refused("animate", "smile", "--model", "any", "--out", "folder.csv")


def test_an_absent_output_folder_is_made(model, here):
    run("convert", "take.csv", "new/deep/take.npz")
    assert (here / "new/deep/take.npz").is_file()


def test_a_verb_that_is_interrupted_leaves_the_old_file(here, monkeypatch):
    def interrupted(motion, path, rig):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr("facelm.rig.export.export", interrupted)
    (here / "a.glb").write_text("old")
    run("convert", "take.csv", "a.glb", code=1)
    assert (here / "a.glb").read_text() == "old" and len(list(here.iterdir())) == 3


def test_a_process_that_is_killed_while_writing_leaves_no_half_file(here):
    code = """
import os
import facelm.rig.export as module
def half(motion, path, rig):
    path.write_text("half")
    os._exit(9)
module.export = half
from facelm.cli import main
main(["convert", "take.csv", "a.glb"])
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert not (here / "a.glb").exists()


def test_our_own_errors_keep_their_traceback(here, tmp_path):
    code = """
import facelm.motion.formats.livelink as module
def broken(*_): raise RuntimeError("ours")
module.read = broken
from facelm.cli import main
main(["info", "take.csv"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1 and "Traceback" in result.stderr and "ours" in result.stderr


def test_unknown_verbs_and_options_exit_2(here):
    assert facelm("dance").returncode == 2
    assert facelm("render", "take.csv").returncode == 2
    run("animate", "smile", "--model", "m", "--out", "a.csv", "--candidates", 0, code=2)
