"""Settings of a run of one's own data. No torch."""

from typing import ClassVar, Literal

from workbook.runs.settings import VideoSettings, setting

EXAMPLE = "example"  # a small table that is drawn


class Settings(VideoSettings):
    """What a run of one's own data depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.own_data"

    data: str = setting(EXAMPLE, "csv or jsonl of file, question, answer; 'example': a small one is drawn")
    models: tuple[str, ...] = setting(
        ("nano",), "as oryx.load takes them, or folders of other models of transformers; {seed} for several trainings"
    )
    resolutions: tuple[str, ...] = setting(("native",), "native, area_S, squash_S or pad_S for a side S in pixels")
    compressions: tuple[str, ...] = setting(("auto", "16x"), "auto, 1x, 4x, 16x, ... (the square of a whole side)")
    score: Literal["exact", "contains"] = setting("exact", "right if the answer is the expected one, or contains it")
    frames: int | None = setting(None, "frames read of a video; null: as many as the model's options say", least=1)
    sampling: Literal["number", "time"] = setting(
        "number",
        "by what frames of a video are spread: their numbers, or the time they are shown",
        added_later=True,
    )
    items: int | None = setting(None, "ask the first so many items only; null: all", least=1)
    max_new_tokens: int = setting(32, "longest answer", least=1)
    hypotheses: str = setting("", "a file of hypotheses in the form of hypotheses.toml", counts=False)

    presets: ClassVar[dict[str, dict]] = {
        "smoke": {"items": 8, "max_new_tokens": 4},
        # released weights fill a GPU: one arm after the other
        "paper": {"jobs": 1},
    }
