"""Compiles protos/ into everything that is generated: `python -m codegen [--check]`. gen/ holds output only."""
