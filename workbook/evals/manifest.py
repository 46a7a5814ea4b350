"""What lmms-eval reads when it starts (entry point group ``lmms_eval.models``); a model is loaded once it is chosen."""

from lmms_eval.models.registry_v2 import ModelManifest

MANIFESTS = [
    ModelManifest(
        model_id="oryx_workbook",  # "oryx" is the harness's own name for the authors' package
        chat_class_path="workbook.evals.model.OryxWorkbook",
    )
]
