"""Study 4: does the model find one frame among 1,600, whatever its depth, and is it the training data that decides?

    python -m oryx run needle_in_a_haystack                   # nano: what a seed takes, python -m oryx plan tells
    python -m oryx run needle_in_a_haystack -p video=my_video.mp4        # needles hidden in a video of one's own
    python -m oryx run needle_in_a_haystack --scale medium --from-scratch          # one GPU, hours not measured
    python -m oryx run needle_in_a_haystack --scale paper -p checkpoint=FOLDER -p processes=4    # a GPU each

Expected at nano, before the run: the arm with retrieval data keeps what it scores on short videos up to 1,600 frames;
arms trained on short clips lose it within a few hundred; with perfect features most needles are found. What came out
stands in docs/findings.md.

Paper claim (H4a, H4b): trained with long-context retrieval data, Oryx finds a needle at every depth in videos of up to
1,600 frames, where other models fail long before. Haystack, needles, grid and values are not public ("not found");
ours are real MP4 files (``workbook/data/haystacks.py``, ``workbook/data/needles.py``), fixed before any report run.

Every seed has its own reader of frames (that of seed 0 ships), which all its arms start from; encoder and compressor
stay as they are. Projector and language model train on cached frame tokens. Arms differ in training clips, positional
scheme and tokens per frame. All are asked for the same needles at every length, so that what a length costs is a
difference between answers about one needle, and needles are what the intervals count.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oryx.errors import InputError
from oryx.files import atomic_write_text, sha256_file
from workbook.data.haystacks import CORPORA as HAYSTACKS
from workbook.studies.base import VIDEO_FACTS, Progress, Run, Study
from workbook.studies.needle.arms import ARMS, RELEASED, SMALL, at_16x, ratio_arms, whole_grid
from workbook.studies.needle.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

SHARED, READER_JOB = "shared", "video_reader"


class NeedleInAHaystack(Study[Settings]):
    """Arms, items and rows of the study; statistics are shared with the other studies."""

    id = "needle_in_a_haystack"
    title = "Needle in a haystack"
    notebook = "04_needle_in_a_haystack.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("paired.toml")
    arm_order = tuple(ARMS)
    baseline = "retrieval"
    weight_files, weights_job, corpora = ("video_reader",), READER_JOB, (*HAYSTACKS, "icons")
    facts: ClassVar[dict] = VIDEO_FACTS | {
        "dtype": "as precision says, frame tokens kept in float16",
        "questions": {"number": "the colour of a card's frame", "picture": "name", "change": "change"},
    }
    released_scales = ("paper",)
    long_arms: ClassVar[tuple[str, ...]] = ("retrieval", "short_tokens", "short_full_1e4")

    def check(self, settings: Settings) -> None:
        """Raises MissingResource, CheckpointError or InputError before any work if this run cannot be done."""
        fitting = RELEASED if settings.scale == "paper" else SMALL
        if wrong := [arm for arm in settings.arms if arm not in fitting]:
            raise InputError(f"arms: scale {settings.scale!r} has {', '.join(fitting)}; got {', '.join(wrong)}")
        if any(depth > 1 for depth in settings.depths):
            raise InputError(f"depths: expected 0 to 1, got {list(settings.depths)}")
        if settings.video:
            from oryx.processing.video import probe

            beyond = () if settings.scale == "paper" else settings.beyond  # there as far as it goes
            found, needed = probe(settings.video, **settings.decoding), max((*settings.lengths, *beyond))
            if found.frames < needed:
                raise InputError(f"{settings.video} has {found.frames} frames, lengths ask for {needed}")
        super().check(settings)
        if settings.scale == "paper":
            from workbook.studies.needle import released

            return released.check(settings)
        for name in ("processes", "context", "frame_rule"):
            if (given := getattr(settings, name)) != type(settings).model_fields[name].default:
                raise InputError(f"{name}: only released weights (scale 'paper') have a choice, got {given}")
        if settings.frame_side != 32:
            raise InputError(f"frame_side: the readers of frames know 32 pixels, got {settings.frame_side}")

    def plan(self, settings: Settings) -> dict:
        """As every study's; of released weights, which nothing trains, what asking takes."""
        if settings.scale != "paper":
            return super().plan(settings)
        from workbook.studies.needle.reading import plan, reading

        read = reading(settings)  # first: it says whether there is a checkpoint
        found = super().plan(settings)
        return {name: found[name] for name in ("arms", "jobs")} | plan(read)

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """Each seed first writes its files, then (from scratch, or at smoke) trains its reader of frames."""
        return [[SHARED], *([] if settings.scale == "paper" else super().prepare(settings, seed))]

    def processes(self, settings: Settings, arm: str) -> int:
        """Released weights are asked by as many as the settings say."""
        return 1 if arm in (SHARED, READER_JOB) else settings.processes

    def hashes(self, settings: Settings) -> dict[str, str]:
        """What the numbers rest on beside the settings: the reader of frames, the shipped data, one's own video."""
        found = super().hashes(settings)
        if settings.video:
            found["data_hash"] += f"+{sha256_file(Path(settings.video))[:16]}"
        if settings.scale == "paper":
            from oryx.model.loading import checkpoint_hash

            found["weights_hash"] = checkpoint_hash(settings.checkpoint)
        return found

    def describe(self, settings: Settings) -> dict:
        """What the manifest says beyond settings and hashes; released weights are asked in words of their own."""
        if settings.scale != "paper":
            return self.facts
        from workbook.studies.needle.reading import reading
        from workbook.studies.needle.released import PHRASES

        prompt, context = "the checkpoint's chat form: <visual>, newline, QUESTION", str(reading(settings).context)
        own = {"dtype": "bfloat16 on a GPU, else float32", "prompt": prompt, "questions": PHRASES, "context": context}
        return self.facts | own

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """Heat map, lengths, tokens and variants."""
        from workbook.studies.needle import figures

        return {
            "heat_map": figures.heat_map(run.rows, whole_grid(arms)),
            "score_by_length": figures.score_by_length(run.rows, at_16x(arms)),
            "score_by_context": figures.score_by_context(run.rows, ratio_arms(arms)),
            "score_by_variant": figures.score_by_variant(run.rows, arms[0]),
        }

    def draw(self, run: Run, settings: Settings) -> None:
        """Also writes ``haystacks.csv``: every haystack file by its sha256, with its shots by kind."""
        super().draw(run, settings)
        if not settings.video:
            atomic_write_text(run.folder / "figures" / "haystacks.csv", haystack_table(settings).to_csv(index=False))

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm and write its rows into ``folder``; resumes where an earlier, killed job stopped."""
        from workbook.studies.needle import released, training

        if arm == SHARED:
            return released.draw(settings) if settings.scale == "paper" else training.prepare(settings, seed)
        if arm == READER_JOB:
            return training.train_reader(settings, seed, folder, progress)
        if settings.scale == "paper":
            return released.run_arm(settings, arm, folder, self.base_row(settings, arm, seed), progress)
        shared = self.weights_of(settings, folder)
        base = self.base_row(settings, arm, seed, shared)
        return training.run_arm(settings, arm, seed, folder, shared, base, progress)


def haystack_table(settings: Settings) -> "pd.DataFrame":
    """One line per haystack: what it is a function of, the sha256 of its file (written if need be), shots by kind."""
    import pandas as pd  # here, not above: workers need no frames

    from workbook.data.haystacks import KINDS, make_haystack

    folder, size = settings.cache_folder / "haystacks", (settings.frame_side, settings.frame_side)
    lines = []
    for number in range(settings.haystacks):
        made = make_haystack(folder, settings.split, number, settings.haystack_frames, size)
        kinds = Counter(shot.kind for shot in made.shots)
        facts = {"split": settings.split, "number": number, "frames": settings.haystack_frames}
        facts["size"] = f"{size[0]}x{size[1]}"
        lines.append({**facts, "sha256": made.sha256, **{kind: kinds[kind] for kind in KINDS}})
    return pd.DataFrame(lines)
