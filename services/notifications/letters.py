"""The texts of letters: one file for each kind and language, from which text and HTML are made.

A template's first line is the subject, the rest paragraphs with a blank line between; what stands on a
line of its own, such as a token, stays there, so that people and scripts find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from babel.dates import format_datetime
from babel.numbers import format_currency, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from services.notifications.domain.deliveries import BrokenTemplate, Letter
from services.notifications.domain.languages import nearest
from services.notifications.domain.quiet import zone_of

TEMPLATES = Path(__file__).with_name("templates")


class Templates:
    """A `services.notifications.domain.deliveries.Letters`. `shared`: what every template may use."""

    def __init__(self, folder: Path = TEMPLATES, **shared: str) -> None:
        self._folder = folder
        self._shared = shared

    def written(self, kind: str, locale: str, variables: Mapping[str, str], unsubscribe: str = "") -> Letter:
        """In the language of the nearest locale: de-AT, then de, then English. Raises: BrokenTemplate."""
        language = self.language(kind, locale)
        known = {**self._shared, **variables, "language": language, "unsubscribe": unsubscribe}
        try:
            subject, _, text = self._text(kind, known).strip().partition("\n")
            html = self._page.render(known, subject=subject, paragraphs=_paragraphs(text))
        except (TemplateError, ArithmeticError, ValueError, LookupError) as error:
            raise BrokenTemplate(f"{kind}/{language}: {error}") from error
        return Letter(subject, text.strip(), html, unsubscribe)

    def language(self, kind: str, locale: str) -> str:
        """The nearest language in which there is a text."""
        return nearest(locale, {path.stem for path in (self._folder / kind).glob("*.txt")})

    def _text(self, kind: str, known: Mapping[str, str]) -> str:
        text = self._environment.get_template(f"{kind}/{known['language']}.txt").render(known)
        if not known["unsubscribe"]:
            return text
        footer = self._environment.get_template(f"footer.{known['language']}.txt")
        return f"{text.strip()}\n\n{footer.render(known)}"

    @cached_property
    def _environment(self) -> Environment:
        # Texts are text: what is put into the page is escaped there.
        environment = Environment(loader=FileSystemLoader(self._folder), undefined=StrictUndefined, autoescape=False)  # noqa: S701
        environment.filters |= {"money": _money, "moment": _moment}
        return environment

    @cached_property
    def _page(self) -> Template:
        environment = Environment(loader=FileSystemLoader(self._folder), undefined=StrictUndefined, autoescape=True)
        return environment.get_template("page.html")


@pass_context
def _money(context: Context, minor: str, currency: str) -> str:
    """An amount in minor units, such as cents, as one writes it in the letter's language."""
    # `str` is where a variable that is not there says so.
    amount, unit = Decimal(str(minor)), str(currency)
    return format_currency(amount.scaleb(-get_currency_precision(unit)), unit, locale=context["language"])


@pass_context
def _moment(context: Context, time: str) -> str:
    """A time (RFC 3339) by the clock of its reader."""
    local = datetime.fromisoformat(str(time)).astimezone(zone_of(context["zone"]))
    return format_datetime(local, "medium", locale=context["language"], tzinfo=zone_of(context["zone"]))


def _paragraphs(text: str) -> list[Markup]:
    """Escaped, with their line breaks."""
    paragraphs = (part for part in text.strip().split("\n\n") if part)
    return [Markup("<br>").join(paragraph.split("\n")) for paragraph in paragraphs]
