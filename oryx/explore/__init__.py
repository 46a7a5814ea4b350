"""Playing with a model in a notebook: look, ask, compare. Notebook 00 is a thin story over these modules."""
