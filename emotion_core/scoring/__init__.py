"""Scoring a person's file: `rows` scores, `totals` counts, `output` writes the file that goes back, `file` does it all.

One road for the shell and the batch page. `job` is the same as a job of `jobs`, `results` what a page asks of it,
`export` the making of a large file as a job too.
Not for reading files (`tables`), figures (`evaluation`) or processes (`jobs`).
"""
