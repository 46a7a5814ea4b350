"""One small Oryx for everything: pictures, short and long films, clips and views of scenes, at 1x, 4x and 16x together.

    python -m oryx.train one_model --folder results/runs/shared/one

is the paper's joint stage in small. It goes on from the shipped reader, which knows pictures at 1x; the shipped
OryxViT stays frozen (the released training code freezes it too); compressor, projector and language model learn. It
writes the weights in 8 bits (without the encoder, which is shipped already), the recipe, the training curve and the
scores on held-out items of every task. What ships lies in ``oryx/weights/nano/one/`` and was made by that command;
``oryx.load("nano")`` loads it. A run that was stopped goes on from its checkpoint.
"""

import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from oryx.errors import SettingsError
from oryx.files import atomic_write_json, sha256_file
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.processor import CONFIG_FILE
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.data import StepBatches
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from workbook.data.items import generator
from workbook.stages.models import WithoutTower, load_shared
from workbook.stages.recipes import RECIPES
from workbook.stages.shipped import WEIGHTS, shared_hash
from workbook.stages.stage import Options, write_manifest
from workbook.stages.stories import StoryPlan
from workbook.studies.one_model.exam import SMOKE_EXAM, Exam, write_scores
from workbook.studies.one_model.streams import OPTIONS, PATCH, Material, Sample, Streams, batch_inputs

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips")
SIDES = (1, 2, 4)


@dataclass(frozen=True)
class JointRecipe:
    """What is trained on and how much.

    ``horizon``: the learning rate follows the cosine of a run of so many steps, but for the last ``cooldown`` steps, in
    which it falls in a straight line; so a run may end at any step without having to know it at the start.
    ``shares``: of steps, by stream. ``first``: share of the horizon at the beginning in which films and clips are shown
    uncompressed only, mostly as glances (models of this size that meet 16x at once stay at chance). ``sides``: how
    often each region side k is drawn later, of pictures and of frames. ``tokens``: tokens of a step, about. ``blind``:
    share of steps with nothing to see. ``longest``: frames of the longest clip.
    """

    material: Material = field(default_factory=Material)
    steps: int = 3600
    horizon: int = 6500
    cooldown: int = 800
    rate: float = 1e-3
    tokens: int = 1800
    shares: tuple[tuple[str, float], ...] = (("pictures", 0.3), ("films", 0.44), ("scenes", 0.1), ("clips", 0.16))
    first: float = 0.2
    picture_sides: tuple[float, float, float] = (0.7, 0.2, 0.1)
    frame_sides: tuple[float, float, float] = (0.2, 0.4, 0.4)
    blind: float = 0.03
    longest: int = 96

    def __post_init__(self):
        if self.steps < 1 or abs(sum(share for _, share in self.shares) - 1) > 1e-6:
            raise SettingsError(f"joint recipe: expected steps and shares that add up to 1, got {self}")

    @property
    def plan(self) -> "CoolingPlan":
        """Steps and learning rates."""
        return CoolingPlan(self.steps, self.rate, log_every=50, horizon=self.horizon, cooldown=self.cooldown)


@dataclass(frozen=True)
class CoolingPlan(TrainPlan):
    """The cosine of ``horizon`` steps, cut short: in the last ``cooldown`` steps the rate falls in a straight line."""

    horizon: int = 1
    cooldown: int = 1

    def rate_at(self, step: int) -> float:
        """The cosine's rate at ``step``."""
        return TrainPlan(self.horizon, self.learning_rate, self.warmup, self.final_fraction).rate(step)

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0)."""
        begins = self.steps - self.cooldown
        if step < begins:
            return self.rate_at(step)
        left = (self.steps - step) / max(1, self.cooldown)
        return self.rate_at(max(0, begins)) * (self.final_fraction + (1 - self.final_fraction) * left)


RECIPE = JointRecipe()
SMOKE = JointRecipe(
    Material(24, films=replace(Material().films, signs=3, cards=2, paths=2, photos=2), scenes=4, haystacks=1, shots=16,
             pages=4, shots_named=4),
    steps=6,
    horizon=6,
    cooldown=2,
    tokens=300,
    longest=8,
)  # fmt: skip


def draw_step(r: JointRecipe, seed: int, streams: Streams, step: int) -> list[Sample]:
    """The samples of a step: one stream, one region side."""
    rng, early = generator("nano", seed, step), step < r.first * r.horizon
    names, shares = zip(*r.shares, strict=True)
    stream = names[int(rng.choice(len(names), p=shares))]
    blind = bool(rng.random() < r.blind)
    chances = r.picture_sides if stream == "pictures" else (1.0, 0.0, 0.0) if early else r.frame_sides
    side = SIDES[int(rng.choice(len(SIDES), p=chances))]
    if stream == "pictures":
        drawn = streams.draw_pictures(rng, side, r.tokens)
    elif stream == "scenes":
        drawn = streams.draw_scenes(rng, side, r.tokens)
    elif stream == "clips":
        drawn = streams.draw_clips(rng, side, r.tokens, 4 if early else r.longest)
    else:
        plan = StoryPlan(r.horizon, (side,), r.tokens, r.rate, first=r.first * 0.7, glances=0.3, long_share=0.35)
        drawn = streams.draw_films(plan, seed, step)
    return [replace(sample, inputs=None) for sample in drawn] if blind else drawn


def step_batches(r: JointRecipe, seed: int, streams: Streams) -> StepBatches:
    """The batches of the training."""
    return StepBatches(partial(draw_step, r, seed, streams), batch_inputs, r.steps, lambda sample: sample.targets)


def train_nano(
    r: JointRecipe,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda what: None,
) -> tuple[OryxForConditionalGeneration, list[dict], float]:
    """The model, its curve and the CPU seconds of the training steps that this process took; resumes from ``folder``.

    The model that comes back holds the weights as they are stored, in 8 bits.
    """
    model = load_shared(RECIPES["nano"])
    model.freeze_vision()
    streams = Streams(r.material, seed, model, folder / "cache", say)
    torch.manual_seed(seed)
    began = _cpu_seconds()

    curve = train(model, step_batches(r, seed, streams), answer_loss, r.plan, folder / "nano.pt", progress)
    seconds = _cpu_seconds() - began
    save_weights(folder / "model.safetensors", WithoutTower(model), torch.int8)
    load_weights(folder / "model.safetensors", WithoutTower(model))
    return model.eval(), curve, seconds


def describe(model: OryxForConditionalGeneration, folder: Path) -> None:
    """Write ``config.json`` and the processor's options beside the weights."""
    model.config.tokenizer_model_max_length = model.config.text_config.max_position_embeddings
    model.config.save_pretrained(folder)
    processor = {"processor_class": "OryxProcessor", "options": OPTIONS.to_dict(), "prompt": "plain", "patch": PATCH}
    atomic_write_json(folder / CONFIG_FILE, processor)


def _cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def run(options: Options) -> None:
    """The stage as the command line asks for it: train the model, ask it about held-out items, write what ships.

    At scale smoke a few steps and items show that all of it runs. ``-p split="dev"`` asks about that split.
    """
    changes, smoke, folder = dict(options.changes), options.scale == "smoke", options.folder
    split = changes.pop("split", "report")
    r = replace(SMOKE if smoke else RECIPE, **changes)

    def say(what: str) -> None:
        print(what, flush=True)

    model, curve, seconds = train_nano(r, options.seed, folder, options.progress, say)
    describe(model, folder)
    exam = SMOKE_EXAM if smoke else Exam(split=split)
    files = [folder / "model.safetensors"]
    write_manifest(
        folder / "manifest.json",
        options.command("one_model"),
        options.seed,
        r,
        files,
        {"one_model": curve},
        CORPORA,
        exam=asdict(exam),
        started_from=shared_hash(WEIGHTS / "nano"),
        encoder={"file": "oryxvit.safetensors", "sha256": sha256_file(WEIGHTS / "nano" / "oryxvit.safetensors")},
        cpu_seconds_since_last_start=round(seconds, 1),
    )
    write_scores(exam, model, folder, say)
