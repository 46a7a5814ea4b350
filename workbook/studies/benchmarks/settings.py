"""Settings of a run of benchmarks. No torch."""

from typing import ClassVar, Literal

from workbook.runs.settings import VideoSettings, setting

EXAMPLE = "example"  # tiny copies that are drawn


class Settings(VideoSettings):
    """What a run of benchmarks depends on."""

    checkpoint: str = setting("nano", "the model: 'nano', a folder, or a repository such as THUdyh/Oryx-7B")
    data: str = setting(EXAMPLE, "folder of copies, one folder a benchmark; 'example': tiny ones are drawn")
    benchmarks: tuple[str, ...] = setting(("ocrbench", "videomme"), "names of benchmarks, as their folders")
    protocols: tuple[Literal["paper", "official"], ...] = setting(("paper",), "how they are asked; an arm each")
    published: str = setting("", "whose published numbers stand beside ours; '': told by the checkpoint's name")
    frames: int | None = setting(None, "frames of a video; null: the protocol's", least=1)
    items: int | None = setting(None, "the first so many questions of each benchmark only; null: all", least=1)
    max_new_tokens: int | None = setting(None, "longest answer; null: the protocol's", least=1)
    processes: int = setting(
        1, "processes, one for each GPU, that share the questions of an arm", counts=False, least=1
    )

    presets: ClassVar[dict[str, dict]] = {
        "smoke": {"frames": 4, "max_new_tokens": 4},
        "paper": {"checkpoint": "", "data": "", "jobs": 1},  # released weights fill a GPU: one arm after the other
    }

    @property
    def model(self) -> str:
        """The model as the table of published numbers calls it: Oryx-1.5-7B is 'Oryx-1.5 7B' there."""
        return self.published or " ".join(self.checkpoint.rstrip("/").rpartition("/")[2].rsplit("-", 1))
