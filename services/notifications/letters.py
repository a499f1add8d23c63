"""The texts of letters: one file for each kind and language, from which text and HTML are made.

A template's first line is the subject, the rest paragraphs with a blank line between; what stands on a
line of its own, such as a token, stays there, so that people and scripts find it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError
from markupsafe import Markup

from services.notifications.domain.deliveries import BrokenTemplate, Letter

TEMPLATES = Path(__file__).with_name("templates")
DEFAULT = "en"


class Templates:
    """A `services.notifications.domain.deliveries.Letters`. `shared`: what every template may use."""

    def __init__(self, folder: Path = TEMPLATES, **shared: str) -> None:
        self._folder = folder
        self._shared = shared

    def written(self, kind: str, locale: str, variables: Mapping[str, str]) -> Letter:
        """In the language of the nearest locale: de-AT, then de, then English. Raises: BrokenTemplate."""
        language = self.language(kind, locale)
        try:
            subject, _, text = self._text(kind, language, variables).strip().partition("\n")
            html = self._page.render(subject=subject, paragraphs=_paragraphs(text), language=language)
        except TemplateError as error:
            raise BrokenTemplate(f"{kind}/{language}: {error}") from error
        return Letter(subject, text.strip(), html)

    def language(self, kind: str, locale: str) -> str:
        """The nearest language in which there is a text."""
        known = {path.stem for path in (self._folder / kind).glob("*.txt")}
        return next((name for name in _nearer(locale) if name in known), DEFAULT)

    def _text(self, kind: str, language: str, variables: Mapping[str, str]) -> str:
        template = self._environment.get_template(f"{kind}/{language}.txt")
        return template.render({**self._shared, **variables})

    @cached_property
    def _environment(self) -> Environment:
        # Texts are text: what is put into the page is escaped there.
        return Environment(loader=FileSystemLoader(self._folder), undefined=StrictUndefined, autoescape=False)  # noqa: S701

    @cached_property
    def _page(self) -> Template:
        environment = Environment(loader=FileSystemLoader(self._folder), undefined=StrictUndefined, autoescape=True)
        return environment.get_template("page.html")


def _nearer(locale: str) -> Iterator[str]:
    """The locale, without its last part, and so on (RFC 4647, 3.4)."""
    parts = locale.split("-")
    return ("-".join(parts[:count]) for count in range(len(parts), 0, -1))


def _paragraphs(text: str) -> list[Markup]:
    """Escaped, with their line breaks."""
    paragraphs = (part for part in text.strip().split("\n\n") if part)
    return [Markup("<br>").join(paragraph.split("\n")) for paragraph in paragraphs]
