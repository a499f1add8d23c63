"""Everything that auth tells its callers."""

from __future__ import annotations

from mesh.model import (
    AlreadyExists,
    Denied,
    Exhausted,
    FailedPrecondition,
    Invalid,
    NotFound,
    Unauthenticated,
)


class WeakPassword(Invalid):
    """This password is too easy to guess."""


class BadToken(Invalid):
    """This token is not valid: it may have been used, or have expired. Ask for a new mail."""


class BadRegistration(Invalid):
    """This is no answer of a device to a registration that this session has open; begin again."""


class UnknownScope(Invalid):
    """No method asks for this scope."""


class BadExpireTime(Invalid):
    """An API key ends in the future, at most a year ahead."""


class BadCredentials(Unauthenticated):
    """Address or password is wrong."""


class BadCode(Unauthenticated):
    """This code is wrong or was used before; wait for the next one."""


class BadChallenge(Unauthenticated):
    """This log-in has expired or is complete; begin again with your password."""


class BadPasskey(Unauthenticated):
    """This is no answer of a passkey to an open log-in: begin again, or log in with your password."""


class BadApiKey(Unauthenticated):
    """This API key is not valid: it may have been revoked, replaced, or have expired."""


class BadRefreshToken(Unauthenticated):
    """This refresh token is not valid; log in again."""


class RefreshTokenReused(Unauthenticated):
    """This refresh token was used before, so its session has been ended; log in again."""


class SessionEnded(Unauthenticated):
    """This session has ended; log in again."""


class MembershipEnded(Unauthenticated):
    """You are no longer in this organisation; refresh your token."""


class OwnersOnly(Denied):
    """Only an owner makes owners, and removes them."""


class InvitationForAnother(Denied):
    """This invitation went to another address; log in with the account that has it."""


class TooManyAttempts(Exhausted):
    """Too many failed attempts; wait before you try again."""


class SessionNotFound(NotFound):
    """You have no such session."""


class PasskeyNotFound(NotFound):
    """You have no such passkey."""


class ApiKeyNotFound(NotFound):
    """You have no such API key."""


class MailNotFound(NotFound):
    """There is no such mail, or nobody to send it to."""


class AccountNotFound(NotFound):
    """There is no such account."""


class OrganisationNotFound(NotFound):
    """You are in no such organisation."""


class MemberNotFound(NotFound):
    """Nobody of this id is in your organisation."""


class InvitationNotFound(NotFound):
    """Your organisation has no such open invitation."""


class AlreadyMember(AlreadyExists):
    """Who has this address is in your organisation already."""


class TotpAlreadyEnrolled(AlreadyExists):
    """Your second factor is on already; switch it off before you enrol another device."""


class TotpNotEnrolled(FailedPrecondition):
    """There is no second factor to do this with; enrol one first."""


class PasswordTooShort(FailedPrecondition):
    """Without a second factor a password needs 15 characters; change yours first."""


class TooManyPasskeys(FailedPrecondition):
    """You have as many passkeys as an account can have; remove one first."""


class TooManyApiKeys(FailedPrecondition):
    """You have as many API keys as an account can have; revoke one first."""


class LastAdministrator(FailedPrecondition):
    """This is the last administrator; appoint another one first."""


class LastOwner(FailedPrecondition):
    """This is the last owner; make somebody else one first."""


class PersonalOrganisation(FailedPrecondition):
    """This is somebody's personal organisation, with no name and nobody else in it; make another one."""


class OrganisationFull(FailedPrecondition):
    """The organisation has as many members as one can have."""


class TooManyOrganisations(FailedPrecondition):
    """You are in as many organisations as a person can be in; leave one first."""


class TooManyInvitations(FailedPrecondition):
    """Your organisation has as many open invitations as it can have; take one back, or wait."""
