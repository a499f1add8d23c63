"""The texts: each kind in each language, and what happens when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifications.domain.deliveries import BrokenTemplate
from services.notifications.domain.kinds import KINDS
from services.notifications.letters import TEMPLATES, Templates

LANGUAGES = ("en", "de", "pt")
VARIABLES = {
    "token": "mail_1.a<b>&c",
    "number": "EX-1<b>",
    "amount_minor": "123456",
    "currency": "EUR",
    "next_attempt_time": "2026-01-02T23:30:00+00:00",
    "device": "Ada's <b>phone",
    "log_in_time": "2026-01-02T23:30:00+00:00",
    "items": "- <b>one\n- two",
    "zone": "Europe/Berlin",
    "organisation": "Torres <b>",
    "role": "manager",
}
LETTERS = Templates(url="http://x")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_written_in_every_language(kind: str, language: str) -> None:
    """A letter has a subject of one line, a text, and the same as HTML, in which variables are text."""
    letter = LETTERS.written(kind, language, VARIABLES, "" if KINDS[kind].repeatable else "http://x/end?token=1")
    assert letter.subject
    assert "\n" not in letter.subject
    assert letter.text
    assert f'<html lang="{language}">' in letter.html
    assert "{" not in letter.text + letter.html
    assert "<b>" not in letter.html
    assert letter.text.count("\n\n") + 1 == letter.html.count("<p>")


def test_every_template_is_of_a_kind() -> None:
    """Nothing is written that nobody sends."""
    folders = {path.name for path in TEMPLATES.iterdir() if path.is_dir()}
    assert folders == set(KINDS)
    assert {path.stem for path in TEMPLATES.glob("*/*.txt")} == set(LANGUAGES)


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de", "de"), ("de-AT", "de"), ("pt-BR", "pt"), ("fr-CA", "en"), ("", "en"), ("../../verify/de", "en")],
)
def test_a_letter_is_in_the_nearest_language(locale: str, language: str) -> None:
    """The locale, its language, English."""
    assert LETTERS.language("verify", locale) == language


@pytest.mark.parametrize(
    ("language", "amount", "moment"),
    [
        ("en", "€1,234.56", "Jan 3, 2026, 12:30:00\u202fAM"),
        ("de", "1.234,56\xa0€", "03.01.2026, 00:30:00"),
        ("pt", "€\xa01.234,56", "3 de jan. de 2026 00:30:00"),
    ],
)
def test_money_and_time_are_written_as_their_reader_does(language: str, amount: str, moment: str) -> None:
    """In the letter's language, by the reader's clock; a currency has the decimals that it has."""
    letter = LETTERS.written("payment_failed", language, VARIABLES)
    assert amount in letter.subject
    assert moment in letter.text
    yen = LETTERS.written("payment_failed", "en", VARIABLES | {"currency": "JPY", "next_attempt_time": ""})
    assert "¥123,456" in yen.subject
    assert "do not try again" in yen.text


@pytest.mark.parametrize("wrong", [{"amount_minor": "much"}, {"next_attempt_time": "soon"}])
def test_a_value_that_is_none_is_a_broken_text(wrong: dict[str, str]) -> None:
    """An outcome, not a crash."""
    with pytest.raises(BrokenTemplate, match="payment_failed/en"):
        LETTERS.written("payment_failed", "en", VARIABLES | wrong)


@pytest.mark.parametrize("missing", ["amount_minor", "currency", "next_attempt_time", "zone"])
def test_a_value_that_is_not_there_is_a_broken_text(missing: str) -> None:
    """Also one that is to be written as an amount or a time."""
    known = {name: value for name, value in VARIABLES.items() if name != missing}
    with pytest.raises(BrokenTemplate, match=f"payment_failed/en: .*{missing}"):
        LETTERS.written("payment_failed", "en", known)


def test_what_can_be_ended_says_so() -> None:
    """A letter with a link has a paragraph more; one without has not."""
    with_link, without = (LETTERS.written("invoice_paid", "en", VARIABLES, link) for link in ("http://x/end", ""))
    assert "Unsubscribe" in with_link.text.removeprefix(without.text)
    assert (with_link.unsubscribe, without.unsubscribe) == ("http://x/end", "")


def test_a_token_stands_on_a_line_of_its_own() -> None:
    """People and scripts find it."""
    assert "mail_1.a<b>&c" in LETTERS.written("verify", "de", VARIABLES).text.splitlines()


def test_what_a_text_needs_must_be_there(tmp_path: Path) -> None:
    """A missing variable and a broken template are told by kind and language."""
    with pytest.raises(BrokenTemplate, match="verify/en: 'token' is undefined"):
        LETTERS.written("verify", "en", {})
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "en.txt").write_text("{{ broken")
    with pytest.raises(BrokenTemplate, match="odd/en"):
        Templates(tmp_path).written("odd", "en", {})
