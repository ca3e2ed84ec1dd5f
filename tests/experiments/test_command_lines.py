"""Whatever is typed and whatever lies in a folder: a documented status, and never a traceback."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from experiments import (
    extract_features,
    hard_negatives,
    keyword_probe,
    lora_finetune,
    panorama_score,
    shift_sweep,
    zero_shot,
)
from jclip.runs.command import run_command

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")
NUMBERS = ["0", "1", "2", "7", "-1", "1e9", "nan", "inf", "None", "", "x", "1,2", "0.5", "9" * 30]
TEXTS = ["", " ", "a", "\ud83d", "caf\udce9", "é\u202e", "none", "a,a", "~", "x" * 5000, "--", "%s"]
PATHS = [
    "absent",
    "gs://a/b",
    "~nobody-here/x",
    ".",
    "/dev/null",
    "IN/images/a.png",
    "IN",
    "\udce9",
]
FITS = ["own", "crop,squash", "tiles", "pad,pad", "none", "stretch"]

SHARED = {
    "--model": [MODEL, *PATHS, "ViT-B-32/nothing", "random:nothing", f"{MODEL},{MODEL}"],
    "--images": [
        "IN/images",
        "IN/images,IN/images",
        "a=IN/images",
        "demo:0",
        "tfds:absent",
        *PATHS,
    ],
    "--captions": ["IN/images/captions.csv", *PATHS],
    "--prompt-prefix": ["a ", *TEXTS],
    "--pixel-limit": ["9999", *NUMBERS],
    "--on-error": ["record", "stop", "x"],
    "--precision": ["float32", "bfloat16", "x"],
    "--activation": ["gelu", "quick_gelu", "x"],
    "--adapter": [f"{MODEL}/peft_adapter", *PATHS],
    "--batch-size": ["1", "3", *NUMBERS],
}
NO_CAPTIONS = ("--captions", "--prompt-prefix", "--on-error")
OPTIONS = {
    shift_sweep: {
        **SHARED,
        "--embeddings": ["IN", *PATHS],
        "--shifts": ["2", "3", *NUMBERS],
        "--shift-pixels": ["1,2", *NUMBERS],
        "--num-processes": NUMBERS,
        "--coordinator": ["x", "x:1", ""],
        "--fits": FITS,
        "--beta": ["1.5", "flip", *NUMBERS],
        "--alpha": ["0.3", *NUMBERS],
        "--flip-quantiles": ["median_unbiased", *TEXTS],
        "--seed": ["1", *NUMBERS],
    },
    keyword_probe: {
        **SHARED,
        "--embeddings": ["IN", *PATHS],
        "--control": ["c=IN/images", "none", "IN/images", *PATHS],
        "--identifiers": ["a,b", *TEXTS],
        "--generics": ["c", *TEXTS],
        "--captions-hold": ["prompts", "content"],
        "--alpha": ["0.3", *NUMBERS],
        "--fits": FITS,
    },
    lora_finetune: {
        **SHARED,
        "--train-images": ["IN/images", *PATHS],
        "--test-images": ["b=IN/images", *PATHS],
        "--split": ["1,0,1", *NUMBERS],
        "--rank": ["2", *NUMBERS],
        "--targets": ["reference", "(", *TEXTS],
        "--adapter-layout": ["open_clip", "x"],
        "--learning-rate": ["1e-3", *NUMBERS],
    },
    panorama_score: {
        **SHARED,
        "--images": ["IN/images", "demo-seam:3", *SHARED["--images"]],
        "--reference": ["r=IN/images", "IN/images", *PATHS],
        "--layout": ["plain", "panfusion", "x"],
        "--split": ["all", *TEXTS],
        "--caption-order": ["lexicographic", "x"],
        "--caption-lines": ["first", "whole", "x"],
        "--tone-map": ["clip_srgb", "x"],
        "--protocols": ["jclip,panfusion,survey,mvdiffusion", "survey,survey", "x", ""],
        "--rescaling": ["corrected,reference", "twice", "x"],
        "--clamp": ["reference", "x"],
        "--fits": FITS,
        "--seam-pitches": ["0,90", *NUMBERS],
        "--samples": ["1", *NUMBERS],
        "--orbit": ["2", *NUMBERS],
        "--alpha": ["0.3", *NUMBERS],
    },
    extract_features: {
        **{k: v for k, v in SHARED.items() if k not in ("--captions", "--prompt-prefix")},
        "--coco": ["IN/coco.json", *PATHS],
        "--annotations": PATHS,
        "--splits": ["test", *TEXTS],
        "--captions-per-image": ["1", *NUMBERS],
        "--fit": ["squash", "x"],
    },
    hard_negatives: {
        **{k: v for k, v in SHARED.items() if k not in NO_CAPTIONS},
        "--sets": ["sugar_crepe:IN/crepe.json", "aro:IN/crepe.json", "winoground:IN", *PATHS],
        "--images": ["IN/images", "sugar_crepe=IN/images", "aro=IN,aro=IN", *PATHS],
        "--fit": ["squash", "x"],
        "--head": PATHS,
        "--unwinnable": ["reference", "x"],
        "--joint": TEXTS,
        "--left-out": TEXTS,
        "--seed": ["1", *NUMBERS],
    },
    zero_shot: {
        **{k: v for k, v in SHARED.items() if k not in NO_CAPTIONS},
        "--images": ["IN/classes", "IN/images", *PATHS],
        "--templates": ["simple", "IN/coco.json", *TEXTS],
        "--class-names": ["IN/names.csv", "IN/coco.json", *PATHS],
        "--fit": ["squash", "x"],
        "--loading-check": ["off", "x"],
        "--seed": ["1", *NUMBERS],
    },
}
NEEDED = {"--model": MODEL, "--images": "IN/images"}
EACH = {
    # Long trainings would only show that training is long.
    lora_finetune: {"--epochs": "1", "--batch-size-train": "2", "--targets": "reference"},
    extract_features: {"--coco": "IN/coco.json", "--images": "IN"},
    hard_negatives: {"--sets": "sugar_crepe:IN/crepe.json"},
    zero_shot: {"--images": "IN/classes"},
}
CAPTIONS = {
    "captions.csv": [b"file,caption\na.png,a hall\nb.png,a lake\n", b"file,caption\n", b"a;b\n"],
    "prompts.txt": [b"a\nb\n", b"", b"\xff\n", b"a\n\nb\nc\n"],
    "captions.jsonl": [b'{"file": "a.png", "caption": "a"}\n', b"{", b"[]\n", b"\xef\xbb\xbf"],
}


@st.composite
def command_lines(draw):
    """An experiment, and options of which most are right and some are not."""
    experiment = draw(st.sampled_from([*OPTIONS]))
    table = OPTIONS[experiment]
    names = draw(st.lists(st.sampled_from([*table]), unique=True, max_size=4))
    right = draw(st.booleans())
    options = {
        name: table[name][0] if right else draw(st.sampled_from(table[name])) for name in names
    }
    return experiment, {**NEEDED, **EACH.get(experiment, {}), **options}


@st.composite
def folders(draw):
    """Contents of a folder of images, by name."""
    if draw(st.booleans()):
        # Of which at most one cannot be decoded.
        end = draw(st.sampled_from([(64, 32), (64, 32), "broken"]))
        return {"a.png": (64, 32), "b.png": end, "captions.csv": CAPTIONS["captions.csv"][0]}
    names = draw(st.lists(st.sampled_from(["a.png", "b.png", "c.JPG", "sub/d.png"]), unique=True))
    sizes = st.sampled_from([(64, 32), (32, 32), (1, 1), (300, 1), "broken", None])
    files: dict[str, object] = {name: draw(sizes) for name in names}
    kind = draw(st.sampled_from([*CAPTIONS, None]))
    if kind:
        files[kind] = draw(st.sampled_from(CAPTIONS[kind]))
    return files


def write(folder, files):
    images = folder / "images"
    images.mkdir()
    for name, content in files.items():
        path = images / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, tuple | str):
            height, width = content[::-1] if isinstance(content, tuple) else (32, 64)
            pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(path)
            if content == "broken":
                path.write_bytes(path.read_bytes()[:3000])
        else:
            path.write_bytes(content or b"no image")
    sentences = [{"sentid": 0, "raw": "a hall"}, {"sentid": 1, "raw": "a room"}]
    image = {"imgid": 0, "filename": "images/a.png", "split": "test", "sentences": sentences}
    (folder / "coco.json").write_text(json.dumps({"images": [image]}), encoding="utf-8")
    crepe = {
        name[0]: {"filename": name, "caption": "a hall", "negative_caption": f"a {name}"}
        for name in ("a.png", "b.png")
    }
    (folder / "crepe.json").write_text(json.dumps(crepe), encoding="utf-8")
    (folder / "names.csv").write_text("one,a hall\ntwo,a room\n", encoding="utf-8")
    for name in ("one", "two"):
        (folder / "classes" / name).mkdir(parents=True)
        Image.new("RGB", (40, 30), name.replace("one", "red").replace("two", "blue")).save(
            folder / "classes" / name / "a.png"
        )


def run(experiment, options, folder):
    """The exit status of a command, and what it said on stderr."""
    typed = [word for pair in options.items() for word in pair]
    typed = [word.replace("IN", str(folder)) for word in (*typed, "--out", "IN/out")]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.argv", ["command", *typed]),
        mock.patch("sys.orig_argv", ["python", "-m", "command", *typed]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        run_command(experiment.Options, experiment.main)
    return end.value.code, err.getvalue()


def check(command_line, files):
    experiment, options = command_line
    folder = Path(tempfile.mkdtemp())
    try:
        write(folder, files)
        status, said = run(experiment, options, folder)
        where = f"{experiment.__name__} {options} {files}: {status}\n{said}"
        assert status in (0, 1, 2, 3), where
        assert "Traceback" not in said and "not foreseen" not in said, where
        if status == 2:
            lines = [line for line in said.splitlines() if line]
            assert lines and lines[-1].startswith("error: ") and len(lines) == 1, where
            assert not (folder / "out").exists() or (folder / "out" / "run.json").exists(), where
        if status == 1:
            assert said.splitlines()[-1].startswith("stopped: "), where
        if status == 3:
            assert options.get("--on-error") == "record", where
    finally:
        shutil.rmtree(folder)


EVERY = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(command_lines(), folders())
@settings(EVERY, max_examples=25, derandomize=True)
def test_a_few_command_lines(command_line, files):
    check(command_line, files)


@pytest.mark.slow
@given(command_lines(), folders())
@settings(EVERY, max_examples=400)
def test_many_command_lines(command_line, files):
    check(command_line, files)
