"""What a change of the contract breaks for those who use it: the contract of now against that of the last release.

Each aspect is a pure function of both (wire, methods, fields, events); docs/changing-a-contract.md is the
story. `python -m codegen.breaking [--json]` tells the breaks that no exception allows.
"""
