"""What people would use instead, for the same benchmarks in the same run."""
