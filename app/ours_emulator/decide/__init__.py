"""The rules, on plain values, without clock, store or HTTP.

Most are pure functions. State is in memory and in three places: `Decision` lives for one group of requests, `Calls` as
long as the pipeline, and `Faults` as long as its account, with a lock because the debug API changes them meanwhile.
"""
