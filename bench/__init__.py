"""What `./tulle bench` measures: the hot path against peers that do equal work. docs/benchmarks.md says how to read it."""
