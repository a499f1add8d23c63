"""auth owns accounts, credentials, sessions, roles and the keys of access tokens.

Tables: accounts, signups, resets, challenges, sessions, mails, signing_keys, passkeys, passkey_challenges, api_keys.
Subjects: tulle.auth.account_created, .roles_changed, .mail_requested.
RPCs: tulle.auth.v1.AuthService, KeysService, AccountsService, ContactsService, PasskeysService, ApiKeysService.
"""
