"""Messages and what they mean here, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.auth.v1 import api_keys_pb2, contacts_pb2, organisations_pb2, passkeys_pb2
from tulle.auth.v1 import auth_pb2 as pb
from tulle.policy.v1 import policy_pb2

from mesh.model import Caller, User
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.contacts import Letter
from services.auth.domain.entities import Account, Issued, Session
from services.auth.domain.membership import Invitation, Member, Membership
from services.auth.domain.passkeys import Passkey


def tokens_to_pb(issued: Issued) -> pb.Tokens:
    """What a client holds."""
    return pb.Tokens(
        access_token=issued.access_token,
        expires_in=issued.expires_in,
        refresh_token=issued.refresh_token,
        user_id=issued.user_id,
        session_id=issued.session_id,
        organisation_id=issued.organisation_id,
    )


def outcome_to_pb(outcome: Issued | str) -> pb.LogInResponse:
    """Tokens or a challenge."""
    if isinstance(outcome, Issued):
        return pb.LogInResponse(tokens=tokens_to_pb(outcome))
    return pb.LogInResponse(challenge=pb.Challenge(challenge_token=outcome))


def letter_to_pb(letter: Letter) -> contacts_pb2.Mail:
    """A mail for whoever sends it."""
    return contacts_pb2.Mail(
        mail_id=letter.mail.mail_id,
        kind=letter.mail.kind,
        email=letter.mail.email,
        user_id=letter.user_id,
        token=letter.token,
        create_time=_time_to_pb(letter.mail.create_time),
        details=letter.mail.details,
    )


def contact_to_pb(account: Account) -> contacts_pb2.Contact:
    """How the owner of an account is reached."""
    return contacts_pb2.Contact(user_id=account.user_id, email=account.email)


def session_to_pb(session: Session, current: str) -> pb.Session:
    """A session; `current` is the one that asks."""
    return pb.Session(
        session_id=session.session_id,
        device=session.device,
        create_time=_time_to_pb(session.create_time),
        refresh_time=_time_to_pb(session.refresh_time),
        expire_time=_time_to_pb(session.expire_time),
        current=session.session_id == current,
    )


def passkey_to_pb(passkey: Passkey) -> passkeys_pb2.Passkey:
    """A passkey as its owner sees it."""
    return passkeys_pb2.Passkey(
        passkey_id=passkey.passkey_id,
        name=passkey.name,
        backed_up=passkey.backed_up,
        create_time=_time_to_pb(passkey.create_time),
        use_time=_time_to_pb(passkey.use_time) if passkey.use_time else None,
    )


def api_key_to_pb(key: ApiKey) -> api_keys_pb2.ApiKey:
    """A key as its owner sees it."""
    return api_keys_pb2.ApiKey(
        api_key_id=key.api_key_id,
        name=key.name,
        scopes=key.scopes,
        organisation_id=key.organisation_id,
        create_time=_time_to_pb(key.create_time),
        expire_time=_time_to_pb(key.expire_time),
        use_time=_time_to_pb(key.use_time) if key.use_time else None,
        previous_expire_time=_time_to_pb(key.previous_expire_time) if key.previous_expire_time else None,
    )


def new_api_key_to_pb(key: ApiKey, secret: str) -> api_keys_pb2.NewApiKey:
    """A key with its text, which is told once."""
    return api_keys_pb2.NewApiKey(secret=secret, api_key=api_key_to_pb(key))


def membership_to_pb(one: Membership, caller: Caller) -> organisations_pb2.Organisation:
    """An organisation of the caller's."""
    return organisations_pb2.Organisation(
        organisation_id=one.organisation_id,
        name=one.name,
        personal=one.personal,
        role=role_to_pb(one.role),
        current=one.organisation_id == caller.signed_in.organisation_id,
        create_time=_time_to_pb(one.create_time),
    )


def member_to_pb(member: Member) -> organisations_pb2.Member:
    """Somebody in an organisation."""
    return organisations_pb2.Member(
        user_id=member.user_id,
        role=role_to_pb(member.role),
        join_time=_time_to_pb(member.join_time),
        email=member.email,
    )


def invitation_to_pb(invitation: Invitation) -> organisations_pb2.Invitation:
    """An invitation as those see it who may invite."""
    return organisations_pb2.Invitation(
        invitation_id=invitation.invitation_id,
        email=invitation.email,
        role=role_to_pb(invitation.role),
        inviter_id=invitation.inviter_id,
        create_time=_time_to_pb(invitation.create_time),
        expire_time=_time_to_pb(invitation.expire_time),
    )


def role_from_pb(role: policy_pb2.Role.ValueType) -> str:
    """The role's name in tokens."""
    return policy_pb2.Role.Name(role).removeprefix("ROLE_").lower()


def role_to_pb(role: str) -> policy_pb2.Role.ValueType:
    """The role of a name."""
    return policy_pb2.Role.Value(f"ROLE_{role.upper()}")


def account_roles_to_pb(account: Account) -> pb.AccountRoles:
    """Who holds which roles."""
    return pb.AccountRoles(user_id=account.user_id, roles=map(role_to_pb, sorted(account.roles)))


def living_to_pb(user: User) -> pb.CheckSessionResponse:
    """What is true now of whose session or key it is."""
    return pb.CheckSessionResponse(user_id=user.user_id, roles=map(role_to_pb, sorted(user.roles)))


def jwks_to_pb(jwks: Mapping[str, Any]) -> pb.Jwks:
    """The key set."""
    return pb.Jwks(keys=[pb.Jwk(**key) for key in jwks["keys"]])


def _time_to_pb(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
