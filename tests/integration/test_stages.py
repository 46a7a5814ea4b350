"""Stages from the command line: killed at random steps, by two processes, refused where they do not fit."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

import oryx
from oryx.files import read_json, sha256_file
from tests.parts import write_language_model, write_siglip
from tests.records import save, turns, write_records
from workbook.stages.registry import main
from workbook.studies.from_records import Settings, align, sft

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
STEPS, KILLS = 24, 3


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[str]:
    """The options of every training here: tiny parts, 30 records of pictures and of text."""
    folder = tmp_path_factory.mktemp("inputs")
    records = write_records(folder / "records", 24)
    texts = [{"id": n, "conversations": turns("say", " ".join(["word"] * (5 * n + 1)))} for n in range(6)]
    (folder / "texts").mkdir()
    data = f"{records},{save(folder / 'texts', texts)}"
    parts = ["--siglip", write_siglip(folder / "siglip"), "--language-model", write_language_model(folder / "text")]
    return [*parts, "--position-grid", "4", "--data", data, "--steps", f"{STEPS}", "--batch", "4"]


def words(inputs: list[str], folder: Path, *more: str) -> list[str]:
    return [*inputs, "--learning-rate", "1e-3", "--checkpoint-minutes", "0", "--folder", str(folder), *more]


def command(inputs: list[str], folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "oryx.train", "sft", *words(inputs, folder, *more)]


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory) -> Path:
    """In a process of its own, as those that are killed: sums depend on its threads in the last bits."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(inputs, folder), cwd=ROOT, check=True)
    return folder


def killed_at(step: int, inputs: list[str], folder: Path) -> None:
    """Start the training, kill it without warning when it has shown a step."""
    running = subprocess.Popen(command(inputs, folder), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in running.stdout:
        if line.startswith("step ") and int(line.split()[1].rstrip(",")) >= step:
            running.send_signal(signal.SIGKILL)
            break
    assert running.wait() == -signal.SIGKILL, "the kill must come in the middle"
    running.stdout.close()


def test_losses_after_kills_at_random_steps_are_those_of_an_undisturbed_training(inputs, undisturbed, tmp_path):
    seed = random.SystemRandom().randrange(1000)
    steps = sorted(random.Random(seed).sample(range(2, STEPS - 1), KILLS))
    print(f"seed {seed}: killed at steps {steps}")
    for step in steps:
        killed_at(step, inputs, tmp_path)
    done = subprocess.run(command(inputs, tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"step {steps[-1] - 2}," not in done.stdout, "it goes on from the checkpoint"
    for file in ("curve.csv", "model/model.safetensors"):
        assert sha256_file(tmp_path / file) == sha256_file(undisturbed / file), file
    assert len(pd.read_csv(tmp_path / "curve.csv")) == STEPS


def test_two_processes_end_with_the_losses_and_weights_of_one(inputs, undisturbed, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "oryx.train", "sft"]
    run = [sys.executable, *launch, *words(inputs, tmp_path, "--accumulate", "2")]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"step {STEPS},") == 1, "the first process alone shows and writes"
    one, two = (pd.read_csv(folder / "curve.csv") for folder in (undisturbed, tmp_path))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4)
    tensors = load_file(undisturbed / "model" / "model.safetensors")
    for name, other in load_file(tmp_path / "model" / "model.safetensors").items():
        assert (tensors[name] - other).abs().max() < 1e-4, name


def test_what_is_written(inputs, undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    curve = {f"curve.{kind}" for kind in ("csv", "png", "svg")}
    assert names == curve | {"model", "sft.pt", "settings.json", "opened.json", "faulty.jsonl"}
    kept = read_json(undisturbed / "settings.json")
    data = inputs[inputs.index("--data") + 1].split(",")
    assert kept["stage"] == "sft" and kept["data_sha256"] == {name: sha256_file(name) for name in data}
    assert set(kept["parts_sha256"]) == {inputs[1], inputs[3]}
    curve = pd.read_csv(undisturbed / "curve.csv")["loss"]
    assert curve.tail(3).mean() < 0.95 * curve.head(3).mean()
    assert oryx.load(undisturbed / "model").ask(None, "say", max_new_tokens=2).frames == 0


def test_another_training_in_the_folder_and_options_that_do_not_fit_are_refused(inputs, undisturbed, tmp_path, capsys):
    assert align(words(inputs, undisturbed)) == 2
    assert "holds a training of stage 'sft', not 'align'" in capsys.readouterr().err
    assert sft(words(inputs, undisturbed, "--seed", "1")) == 2
    assert "holds a training of seed 0, not 1" in capsys.readouterr().err
    assert sft([*words(inputs, tmp_path), "--model", "nano"]) == 2
    assert sft(["--data", "x.json", "--folder", str(tmp_path), "--siglip", "a"]) == 2
    assert "siglip and language_model belong together" in capsys.readouterr().err
    assert sft(["--data", "no.json", "--folder", str(tmp_path), "--model", "nano"]) == 2
    assert "data: no.json: expected a json file, there is none" in capsys.readouterr().err
    assert sft(words(inputs, tmp_path / "new", "--trackers", "aim")) == 2
    assert "pip install aim" in capsys.readouterr().err


def test_every_setting_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["joint", "--help"])
    said = capsys.readouterr().out
    assert "oryx.train joint" in said and all(f"--{name.replace('_', '-')}" in said for name in Settings.model_fields)


def test_a_stage_goes_on_from_the_model_of_another_and_names_faulty_records(undisturbed, inputs, tmp_path, capsys):
    write_records(tmp_path / "records", 6)
    (tmp_path / "records" / "3.png").write_bytes(b"no picture")
    given = ["--model", str(undisturbed / "model"), "--data", str(tmp_path / "records" / "records.json")]
    given += ["--folder", str(tmp_path / "out"), "--steps", "2", "--batch", "2"]
    assert sft(given) == 2
    assert "1 of 6 records cannot be used" in (said := capsys.readouterr().err) and "record 3" in said
    assert sft([*given[:4], "--folder", str(tmp_path / "skips"), *given[6:], "--skip-faulty", "true"]) == 0
    assert "5 records" in capsys.readouterr().out
    assert "3.png" in (tmp_path / "skips" / "faulty.jsonl").read_text()
