"""Frames in notebooks: whole, with names of arms, texts to the left."""

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from workbook.explore import pictures
from workbook.report import notebook, tables

LONG = "a sentence that is longer than the fifty letters after which pandas would cut it"
FRAME = pd.DataFrame({"arm": ["native", "area_1"], "minus native": [0.12345, -1.0], "says": [LONG, None]})


def test_arms_go_by_their_names_wherever_they_stand():
    shown = notebook.readable(FRAME)
    assert shown["arm"].tolist() == ["native size", "area S²"] and list(shown) == ["arm", "minus native size", "says"]
    assert FRAME["arm"].tolist() == ["native", "area_1"], "the frame itself stays as it is"
    for index in (["arm"], ["task", "arm"]):
        levels = notebook.readable(FRAME.assign(task="text").set_index(index)).index.get_level_values("arm")
        assert levels.tolist() == ["native size", "area S²"]


def test_no_sentence_is_cut_and_rows_have_no_numbers_of_their_own():
    html = notebook.as_html(FRAME)
    assert LONG in html and "<th>0</th>" not in html and "0.123" in html and "-1<" in html and "None" not in html
    assert ":is(td, th):nth-last-child(3) {text-align: left}" in html and "nth-last-child(2)" not in html
    many = pd.DataFrame({"n": range(300)})
    assert notebook.as_html(many).count("<tr") == 301
    assert "<th>left</th>" in notebook.as_html(FRAME.set_axis(["left", "right"]))


def test_what_models_and_files_say_is_no_html():
    said = pd.DataFrame({"answer": ["<script>alert(1)</script>"], "file": ["<img src=x onerror=y>.png"], "n": ["< 1"]})
    html = notebook.as_html(said)
    assert "&lt;script&gt;" in html and "<script" not in html and "<img" not in html
    table = tables.as_table(said)
    assert r"\<script>alert(1)\</script>" in table and r"\<img" in table and "< 1" in table
    shown = pictures.Shown(Figure(), '"><script>', said)._repr_html_()
    assert "<script" not in shown and "<img src=x" not in shown and shown.count("<img") == 1


def test_ipython_shows_frames_so_once_asked_to():
    shell = InteractiveShell.instance()
    formatter = shell.display_formatter.formatters["text/html"]
    notebook.show_frames_whole()
    try:
        assert formatter(FRAME) == notebook.as_html(FRAME)
    finally:
        formatter.pop(pd.DataFrame)
        InteractiveShell.clear_instance()


def test_a_note_names_arms_in_words():
    reason = "inside the margin of 0.05, but not learned: siglip_native number +0.098, no_arm page -0.325"
    judged = {"id": "H", "statement": "s", "verdict": "inconclusive", "estimate": None, "n_items": 1, "n_clusters": 1}
    judged |= {"seeds": 1, "scale": "nano", "paper_value": tables.NOT_FOUND, "reason": reason}
    (note,) = tables.verdict_table([judged])["note"]
    assert note == reason.replace("siglip_native", "SigLIP (native size)")
