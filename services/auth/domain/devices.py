"""Devices: where an account has been used, so that its owner is told of a log-in from elsewhere."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from mesh.model import Caller, new_id
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested
from services.auth.domain.membership import as_mailed

PREFIX = {4: 24, 6: 48}
"""What one household, office or mast shares, in bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A device at a log-in. `notice` goes out if the account is known on others only; it remembers at most `most`."""

    device_hash: bytes
    most: int
    notice: Mail
    event: MailRequested


@dataclass(frozen=True)
class Devices:
    """Tells devices apart by what they are called and where they are, and keeps neither: only HMACs under `pepper`."""

    pepper: bytes
    most: int

    def arrival(self, caller: Caller, account: Account, device: str, now: datetime) -> Arrival:
        """The device that somebody logs in with, and what the owner is told if it is a new one."""
        notice = Mail(
            mail_id=new_id("mail", now.timestamp()),
            kind=MailKind.NEW_DEVICE,
            email=account.email,
            create_time=now,
            details={"device": as_mailed(device), "log_in_time": now.isoformat()},
        )
        event = MailRequested.of(caller, notice)
        return Arrival(device_hash=self._hash(account, device, caller), most=self.most, notice=notice, event=event)

    def _hash(self, account: Account, device: str, caller: Caller) -> bytes:
        # With the account, so that one device is not the same in two. No part can hold the separator.
        parts = "\0".join((account.user_id, network(caller.address), device))
        return hmac.digest(self.pepper, b"device" + parts.encode(), "sha256")


def network(address: str) -> str:
    """Where an address is: its IPv4 /24 or IPv6 /48. What is no address, such as none, is a place of its own."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ip_network(f"{ip}/{PREFIX[ip.version]}", strict=False))
