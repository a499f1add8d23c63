"""auth owns accounts, credentials, sessions, roles, organisations and the keys of access tokens.

Tables: accounts, signups, resets, challenges, sessions, devices, mails, signing_keys, passkeys,
passkey_challenges, organisations, members, invitations, api_keys.
Subjects: tulle.auth.account_created, .roles_changed, .mail_requested, .organisation_created, .membership_changed.
RPCs: tulle.auth.v1.AuthService, KeysService, AccountsService, ContactsService, PasskeysService, OrganisationsService,
ApiKeysService.
"""
