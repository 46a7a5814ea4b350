"""The studies by id. A study's module is imported when it is asked for; no torch in here.

A study of one's own is named ``module:Class``, on the command line too.
"""

import difflib
from importlib import import_module

from oryx.errors import SettingsError

_STUDIES = {
    "native_vs_fixed_resolution": "workbook.studies.native_resolution.study:NativeVsFixedResolution",
    "oryxvit_vs_siglip": "workbook.studies.encoders.study:OryxViTvsSigLIP",
    "pooling_vs_dynamic_compression": "workbook.studies.compressor.study:PoolingVsDynamicCompression",
    "needle_in_a_haystack": "workbook.studies.needle.study:NeedleInAHaystack",
}
_TEMPLATES = {"own_data": "workbook.studies.own_data.study:OwnData"}
"""Known by name too, but no study of the paper: ``all`` leaves them out."""


def ids() -> list[str]:
    """The ids of the workbook's own studies, in the order of the notebooks."""
    return list(_STUDIES)


def get(name: str):
    """The study of that id or ``module:Class``; raises SettingsError with the nearest match for an unknown one."""
    if name == "paper_vs_ours":
        raise SettingsError("paper_vs_ours is a report over results/, not a study: python -m oryx report --notebook")
    place = {**_STUDIES, **_TEMPLATES}.get(name, name)
    module, colon, attribute = place.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, [*_STUDIES, *_TEMPLATES, "all"], 1, 0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"unknown study {name!r}; {hint}known: {', '.join([*_STUDIES, *_TEMPLATES])}")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"study {name!r} cannot be imported: {error}") from error
    from workbook.studies.base import Study

    if not (isinstance(found, type) and issubclass(found, Study)):
        raise SettingsError(f"study {name!r}: expected a subclass of workbook.studies.base.Study, got {found!r}")
    return found()
