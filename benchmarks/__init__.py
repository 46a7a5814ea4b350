"""Benchmarks: run by hand (``make bench``), reported in ``docs/benchmarks.md``, never timed inside a test."""
