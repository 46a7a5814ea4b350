"""The studies by id. A study's module is imported when it is asked for; no torch in here.

A study of one's own is named ``module:Class``, on the command line too.
"""

import difflib
from importlib import import_module

from oryx.errors import SettingsError

_STUDIES = {
    "native_vs_fixed_resolution": "oryx.studies.native_vs_fixed_resolution:NativeVsFixedResolution",
    "oryxvit_vs_siglip": "oryx.studies.oryxvit_vs_siglip:OryxViTvsSigLIP",
    "pooling_vs_dynamic_compression": "oryx.studies.pooling_vs_dynamic_compression:PoolingVsDynamicCompression",
    "needle_in_a_haystack": "oryx.studies.needle_in_a_haystack:NeedleInAHaystack",
}


def ids() -> list[str]:
    """The ids of the workbook's own studies, in the order of the notebooks."""
    return list(_STUDIES)


def get(name: str):
    """The study of that id or ``module:Class``; raises SettingsError with the nearest match for an unknown one."""
    if name == "paper_vs_ours":
        raise SettingsError("paper_vs_ours is a report over results/, not a study: python -m oryx report --notebook")
    place = _STUDIES.get(name, name)
    module, colon, attribute = place.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, [*_STUDIES, "all"], 1, 0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"unknown study {name!r}; {hint}known: {', '.join(_STUDIES)}")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"study {name!r} cannot be imported: {error}") from error
    from oryx.studies.base import Study

    if not (isinstance(found, type) and issubclass(found, Study)):
        raise SettingsError(f"study {name!r}: expected a subclass of oryx.studies.base.Study, got {found!r}")
    return found()
