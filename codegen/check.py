"""All rules for contracts, and all that break them at once."""

from __future__ import annotations

from codegen.project import Project
from codegen.rules import events, http, messages, methods
from codegen.rules.finding import Finding

RULES = (*methods.RULES, *http.RULES, *events.RULES, *messages.RULES)


def findings(project: Project) -> list[Finding]:
    """What breaks a rule, in order of places."""
    return sorted({finding for rule in RULES for finding in rule(project)})
