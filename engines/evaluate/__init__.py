"""The ruler: metrics, extractors, the benchmark, judges and reports of rendered faces."""
