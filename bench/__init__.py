"""What `./tulle bench` measures: the hot path against peers that do equal work; see docs/benchmarks.md."""
