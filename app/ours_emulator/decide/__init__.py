"""The rules: pure functions on plain values, without clock, store or HTTP."""
