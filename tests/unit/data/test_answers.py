"""Rules of right answers: the forms of options that users report, what chooses nothing, and OCRBench's two rules."""

from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbook.data.answers import RULES, option_letter

OPTIONS = ("a red car", "a blue car", "The dog.", "none")
WORDS = st.lists(st.sampled_from(["kite", "lamp", "rope", "stone", "fern"]), min_size=1, max_size=3).map(" ".join)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("b", "B"), ("B.", "B"), ("(B)", "B"), ("B)", "B"), (" B \n", "B"), ("**B**", "B"), ("[B]", "B"),
        ("B. a blue car", "B"), ("(B) a blue car", "B"), ("B: because it is blue", "B"), ("B\nThe car is blue.", "B"),
        ("The best answer is: A", "A"), ("The answer is B.", "B"), ("Answer: (C)", "C"), ("answer is B", "B"),
        ("The correct option is (D) none", "D"), ("Best option: (B) a blue car", "B"), ("My choice would be D", "D"),
        ("Option A is wrong. The answer is B.", "B"), ("Not (A).", "A"),
        ("a blue car", "B"), ("A Blue Car.", "B"), ("B a blue car", "B"), ("the dog", "C"),
        ("It shows a blue car on a road", "B"), ("I think it is C", "C"),
        ("A red car", "A"), ("A dog runs.", ""), ("The answer is a dog, I think", ""),
        ("A or B", ""), ("(A) or (B)", ""), ("A, B", ""), ("a red car or a blue car", ""), ("E", ""), ("", ""),
        ("!!!!", ""), ("?", ""), ("Beautiful", ""), ("DVD", ""), ("I don't know", ""),
    ],
)  # fmt: skip
def test_letters_are_read_in_every_form_and_nothing_is_guessed(answer, letter):
    assert option_letter(answer, OPTIONS) == letter


@given(st.integers(2, 6), st.data())
def test_every_form_of_every_letter_is_read_and_a_wrong_one_is_wrong(count, data):
    options = data.draw(st.lists(WORDS, min_size=count, max_size=count, unique=True))
    right, chosen = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    letter, text = ascii_uppercase[chosen], options[chosen]
    forms = ["{0}", "({0})", "{0}.", "{0})", "The best answer is: {0}", "The answer is {0}.", "{0}. {1}", "({0}) {1}"]
    answer = data.draw(st.sampled_from(forms)).format(letter, text)
    assert option_letter(answer, options) == letter
    assert RULES["letter"](answer, (ascii_uppercase[right],), options) == (chosen == right)


@given(st.text(max_size=60))
def test_any_text_is_a_letter_of_the_options_or_none(text):
    assert option_letter(text, OPTIONS) in (*"ABCD", "")


@pytest.mark.parametrize(
    ("rule", "answer", "truths", "right"),
    [
        ("reading", "It says: CENTRE.", ("centre",), True),
        ("reading", "cent re", ("centre",), False),
        ("reading", "two\nlines", ("two lines",), True),
        ("reading", "ＡＢＣ　１２３", ("abc 123",), True),
        ("reading", "the second", ("first", "Second"), True),
        ("reading", "", ("x",), False),
        ("formula", "x^{2} + Y", ("x ^ { 2 } + Y",), True),
        ("formula", "x^{2} + y", ("x ^ { 2 } + Y",), False),
        ("exact", "On the table.", ("on the table", "table"), True),
        ("exact", "on the tables", ("on the table",), False),
    ],
)
def test_readings_formulas_and_exact_answers(rule, answer, truths, right):
    assert RULES[rule](answer, truths, ()) is right
