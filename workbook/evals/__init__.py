"""lmms-eval with our models and our items: the model ``oryx_workbook`` and tasks of shipped data; docs/lmms-eval.md."""
