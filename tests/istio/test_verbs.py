"""./tulle kubectl and istioctl are pointed at the stack that runs."""

from __future__ import annotations

from services.topology import WORKLOADS
from tests.e2e.stacks import Stack
from tests.e2e.test_stack import elsewhere, refused, settings_of, tulle

__all__ = ["elsewhere"]


def test_kubectl_shows_the_policies(stack: Stack) -> None:
    """What kubectl lists are this stack's objects, in its namespace."""
    done = tulle(settings_of(stack), "kubectl", "get", "authorizationpolicies", "-o", "name")
    policies = [line.rpartition("/")[2] for line in done.stdout.splitlines()]
    served = [workload.name for workload in WORKLOADS if workload.serves]
    assert policies == sorted([*served, "edge", "nobody"]), done.stderr


def test_istioctl_finds_nothing_to_complain_about(stack: Stack) -> None:
    """`istioctl analyze` is clean, down to its remarks."""
    done = tulle(settings_of(stack), "istioctl", "analyze", "--failure-threshold", "Info")
    assert (done.returncode, "No validation issues found" in done.stdout + done.stderr) == (0, True), done.stdout


def test_without_a_stack_on_istio_there_is_nothing_to_ask(elsewhere: dict[str, str]) -> None:
    """Where no such stack runs, a sentence says how to start one."""
    refused(tulle(elsewhere, "kubectl", "get", "pods"), "No stack on Istio runs here", "./tulle up --mesh=istio")
