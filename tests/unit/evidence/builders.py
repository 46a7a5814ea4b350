"""Small rows to test the evidence layer with."""


def row(item: str = "number-0", arm: str = "native", seed: int = 0, score: float | None = 1.0, **fields) -> dict:
    """A valid row; ``fields`` replace or add any field."""
    return {
        "schema": 1,
        "study": "demo",
        "arm": arm,
        "condition": "visual",
        "item": item,
        "seed": seed,
        "settings_hash": "s",
        "weights_hash": "w",
        "data_hash": "d",
        "split": "report",
        "task": "number",
        "cluster": item,
        "question": "Which number?",
        "truth": "7",
        "answer": "7" if score else "1",
        "score": score,
        "logprob": -0.5,
        "chance": 0.1,
        "visual_tokens": 21,
        "frames": 1,
        "sizes": [[64, 48]],
        "picture_size": [60, 50],
        "seconds": 0.01,
        "error": None,
        **fields,
    }


def failed(item: str, arm: str = "native", seed: int = 0, **fields) -> dict:
    """A row of an item that failed."""
    return row(item, arm, seed, **{"score": None, "answer": None, "error": "RunError: broken", **fields})
