"""The fault harness: a stack is used by people while its processes die, and a checker reads what was recorded.

`workload` is the people, `havoc` what happens to them, `journal` what they did, `evidence` what the platform
has recorded, `checker` the laws between the two, `plants` the bugs that the checker must find.
"""
