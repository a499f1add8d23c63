"""The texts: each kind in each language, and what happens when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifications.domain.deliveries import BrokenTemplate
from services.notifications.domain.kinds import KINDS
from services.notifications.letters import TEMPLATES, Templates

LANGUAGES = ("en", "de", "pt")
VARIABLES = {"token": "mail_1.a<b>&c"}
LETTERS = Templates(url="http://x")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_written_in_every_language(kind: str, language: str) -> None:
    """A letter has a subject of one line, a text, and the same as HTML, in which variables are text."""
    letter = LETTERS.written(kind, language, VARIABLES)
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
