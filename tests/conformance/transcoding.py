"""The cases of google.api.http and AIP-127, asked over REST: what the service must hear, or how it is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conformance.interop import PASSES


@dataclass(frozen=True)
class Case:
    """`request`: verb, path and query. `hears`: what google.api.http lets the service hear; a number: a refusal."""

    what: str
    request: str
    hears: dict[str, Any] | int
    body: object = None
    why: str = ""
    """Why it does not pass, if it does not."""


SLASH = "An escaped slash in a path is refused at the edge: proxies disagree about it, and policy hangs on paths."
ELSEWHERE = "What one path of a method binds is no query parameter of its other paths; OpenAPI says so too."
STRICTER = "Said twice, a single value would be silently the last; it is refused instead."


def find(what: str, query: str, hears: dict[str, Any] | int, why: str = "") -> Case:
    """A query to the method with every kind of field."""
    return Case(what, f"GET /v1/books:find?{query}", hears, why=why)


CASES = (
    Case("one segment", "GET /v1/books/x", {"book_id": "x"}),
    Case("a second path (`additional_bindings`)", "GET /v1/shelves/s/volumes/x", {"book_id": "x", "shelf": "s"}),
    Case("what only another path binds", "GET /v1/books/x?shelf=s", {"book_id": "x", "shelf": "s"}, why=ELSEWHERE),
    Case("`{name=shelves/*}`", "GET /v1/shelves/1", {"name": "shelves/1"}),
    Case("`{name=shelves/*}` is not longer", "GET /v1/shelves/1/2", 404),
    Case("`{book.name=shelves/*/books/*}`", "GET /v1/shelves/1/books/2", {"book": {"name": "shelves/1/books/2"}}),
    Case("`{path=**}`", "GET /v1/files/a/b/c.txt", {"path": "a/b/c.txt"}),
    Case("`{path=**}` of no segment", "GET /v1/files/", {}),
    Case("`*` without a name", "GET /v1/any/books/7/any", {"book_id": "7"}),
    Case("a custom verb", "POST /v1/books/x:move", {"book_id": "x", "shelf": "s"}, {"shelf": "s"}),
    Case("a custom verb under another HTTP verb", "GET /v1/books/x:move", 404),
    Case("a colon that is no custom verb", "GET /v1/books/a:b", {"book_id": "a:b"}),
    Case("an escaped colon", "GET /v1/books/a%3Amove", {"book_id": "a:move"}),
    Case('`body: "*"`', "POST /v1/books/x:move", {"book_id": "x", "book": {"title": "t"}}, {"book": {"title": "t"}}),
    Case('`body: "*"` leaves no query', "POST /v1/books/x:move?shelf=s", 400, {}),
    Case('`body: "*"` has not what the path has', "POST /v1/books/x:move", 400, {"bookId": "y"}),
    Case('`body: "book"`', "PUT /v1/books/x", {"book_id": "x", "book": {"title": "t"}}, {"title": "t"}),
    Case(
        '`body: "book"`, the rest in the query',
        "PUT /v1/books/x?updateMask=title,author.name",
        {"book_id": "x", "book": {"title": "t"}, "update_mask": "title,author.name"},
        {"title": "t"},
    ),
    Case("no body where none is taken", "GET /v1/books/x", 400, {"shelf": "s"}),
    Case("an unknown field in the body", "PUT /v1/books/x", 400, {"titel": "t"}),
    Case("a space in a path", "GET /v1/books/a%20b", {"book_id": "a b"}),
    Case("a plus in a path", "GET /v1/books/a+b", {"book_id": "a+b"}),
    Case("UTF-8 in a path", "GET /v1/books/caf%C3%A9", {"book_id": "café"}),
    Case("an escaped slash in one segment", "GET /v1/books/a%2Fb", {"book_id": "a/b"}, why=SLASH),
    Case("an escaped slash in many segments", "GET /v1/files/a%2Fb", {"path": "a%2Fb"}, why=SLASH),
    find("a space, escaped", "text=a%20b", {"text": "a b"}),
    find("a space, as forms write it", "text=a+b", {"text": "a b"}),
    find("a plus, escaped", "text=a%2Bb", {"text": "a+b"}),
    find("UTF-8", "text=caf%C3%A9", {"text": "café"}),
    find("`&` and `=`, escaped", "text=a%26b%3Dc", {"text": "a&b=c"}),
    find("bool", "lent=true", {"lent": True}),
    find("bool, false", "lent=false&text=x", {"text": "x"}),
    find("bool as `1`", "lent=1", 400),
    find("bool as `yes`", "lent=yes", 400),
    find("bool as `True`", "lent=True", 400),
    find("bool as nothing", "lent=", 400),
    find("bool as another word", "lent=maybe", 400),
    find("int32", "pages=-5", {"pages": -5}),
    find("int32 with a fraction", "pages=1.5", 400),
    find("int32 too large", "pages=2147483648", 400),
    find("int64", "sold=9007199254740993", {"sold": "9007199254740993"}),
    find("double", "stars=1.5", {"stars": 1.5}),
    find("double with an exponent", "stars=1e3", {"stars": 1000.0}),
    find("enum by name", "genre=GENRE_POETRY", {"genre": "GENRE_POETRY"}),
    find("enum by number", "genre=2", {"genre": "GENRE_POETRY"}),
    find("enum in another case", "genre=genre_poetry", 400),
    find("enum of an unknown name", "genre=GENRE_DRAMA", 400),
    find(
        "enum of an unknown number",
        "genre=99",
        {"genre": 99},
        "Open enums take any number over gRPC; in a query Envoy takes those of the contract only.",
    ),
    find("bytes", "digest=aGVsbG8%3D", {"digest": "aGVsbG8="}),
    find("bytes in base64url", "digest=-_-_", {"digest": "+/+/"}),
    find("repeated", "tags=a&tags=b", {"tags": ["a", "b"]}),
    find("repeated is not split at commas", "tags=a,b", {"tags": ["a,b"]}),
    find(
        "repeated enum, name and number", "genres=1&genres=GENRE_POETRY", {"genres": ["GENRE_FICTION", "GENRE_POETRY"]}
    ),
    find("repeated numbers", "years=1&years=2", {"years": [1, 2]}),
    find("a nested field", "book.title=t", {"book": {"title": "t"}}),
    find("a field two levels down", "book.author.name=n", {"book": {"author": {"name": "n"}}}),
    find("a field that is not there", "book.nope=1", 400),
    find("Timestamp", "since=2024-01-02T03:04:05Z", {"since": "2024-01-02T03:04:05Z"}),
    find("Timestamp with an offset", "since=2024-01-02T03:04:05%2B01:00", {"since": "2024-01-02T02:04:05Z"}),
    find("Timestamp that is none", "since=yesterday", 400),
    find("Duration", "within=1.5s", {"within": "1.500s"}),
    find("Duration without a unit", "within=3", 400),
    find("FieldMask", "mask=text,book.title", {"mask": "text,book.title"}),
    find("FieldMask in camel case", "mask=updateMask", {"mask": "updateMask"}),
    find("StringValue", "note=hi", {"note": "hi"}),
    find("StringValue, empty and there", "note=", {"note": ""}),
    find("BoolValue, false and there", "signed=false", {"signed": False}),
    find("Int64Value", "price=9007199254740993", {"price": "9007199254740993"}),
    find("a single value twice", "text=a&text=b", {"text": "b"}, STRICTER),
    find("an unknown parameter", "nope=1", 400),
)


def run(case: Case, client: httpx.Client) -> str:
    """`passes`, or what came of it."""
    verb, _, path = case.request.partition(" ")
    got = _heard(client.request(verb, path, json=case.body))
    return PASSES if got == case.hears else f"`{json.dumps(got, ensure_ascii=False)}`"


def _heard(answer: httpx.Response) -> dict[str, Any] | int:
    if answer.status_code != 200:
        return answer.status_code
    heard: dict[str, Any] = json.loads(answer.json()["request"])
    return heard
