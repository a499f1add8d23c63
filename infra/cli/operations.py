"""Verbs of an operator: the caught mail, the first administrator."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra.cli.app import app, err, out, print_json, stack
from infra.local.layout import Unusable
from infra.local.limits import MAIL_WITHIN
from infra.local.mailbox import Caught, Mailbox
from infra.local.operator import calling

admin = typer.Typer(no_args_is_help=True, help="What only an operator may do, through the mesh.")
app.add_typer(admin, name="admin")


@app.command()
def mail(
    to: Annotated[str | None, typer.Argument(help="Only mails to this address.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest alone, its text; waits for the first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print for programs.")] = False,
) -> None:
    """Read the mails that the stack has caught instead of sending them."""
    box = Mailbox(stack().folder("mail"))
    caught = _awaited(box, to)[-1:] if last else box.mails(to)
    if as_json:
        print_json([asdict(one) for one in caught])
    elif last:
        print(caught[0].text)
    else:
        _print_mails(caught)


@app.command()
def totp(secret: Annotated[str, typer.Argument(help="From EnrollTotp.")]) -> None:
    """Show the code of the moment, as the device of a second factor would."""
    import pyotp

    try:
        print(pyotp.TOTP(secret).now())
    except ValueError as error:
        raise Unusable(f"This is no secret of EnrollTotp, which is in base 32: {error}.") from error


def _awaited(box: Mailbox, to: str | None) -> list[Caught]:
    until = time.monotonic() + MAIL_WITHIN
    while not (caught := box.mails(to)):
        if time.monotonic() > until:
            raise Unusable(
                f"No mail{f' to {to}' if to else ''} came within {MAIL_WITHIN:g} s; see ./tulle logs notifications."
            )
        time.sleep(0.1)
    return caught


def _print_mails(caught: list[Caught]) -> None:
    for one in caught:
        out.print(f"[bold]{one.subject}[/bold]  to {one.to}, {one.time}\n", soft_wrap=True)
        out.print(one.text, markup=False, soft_wrap=True)
    err.print(f"{len(caught)} mails")


@admin.command()
def appoint(address: Annotated[str, typer.Argument(metavar="EMAIL", help="Address of a verified account.")]) -> None:
    """Make an account an administrator: how an installation gets its first one."""
    user_id = asyncio.run(_appoint(address))
    err.print(f"{user_id} is an administrator; tokens say so from the next refresh or log-in.")


async def _appoint(address: str) -> str:
    from tulle.auth.v1 import auth_pb2, auth_pb2_grpc

    async with calling(stack(), "auth") as channel:
        accounts: Any = channel.stub(auth_pb2_grpc.AccountsServiceStub)
        answer = await accounts.AppointAdministrator(auth_pb2.AppointAdministratorRequest(email=address))
        return str(answer.user_id)
