"""Parameters of notebook 00: as strict as those of a study."""

from typing import ClassVar

from workbook.runs.settings import StudySettings, setting


class Settings(StudySettings):
    """Which model is opened and what it is shown. No training: of the fields that all studies share, ``scale`` and
    ``results`` count here."""

    model: str = setting("nano", "'nano', a folder, or a repository of the authors (a GPU is wanted for those)")
    released: str = setting("THUdyh/Oryx-7B", "released weights that the case studies are repeated with, if at hand")
    file: str = setting("", "a picture or video of one's own; empty: shipped examples")
    device: str = setting("", "cpu or cuda; empty: cuda where there is one")
    films: int = setting(6, "held-out films that the case studies ask about", least=1)

    presets: ClassVar[dict[str, dict]] = {"smoke": {"films": 2}}
