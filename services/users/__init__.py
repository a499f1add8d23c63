"""users: what people say about themselves and how they want to be treated.

Owns the tables `profiles` and `preferences`, serves `tulle.users.v1.UsersService`, publishes
`tulle.users.profile_updated` and `tulle.users.preferences_updated`, consumes
`tulle.auth.account_created`.
"""
