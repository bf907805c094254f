"""Metrics, by name and in one place; labels are kinds and outcomes, never tenants or ids, so their number is bounded."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)

RUNS_STARTED = Counter("insula_runs_started_total", "Answers begun.")
RUNS_ENDED = Counter("insula_runs_ended_total", "Answers ended, by how.", ["outcome", "code"])
RUN_SECONDS = Histogram("insula_run_seconds", "From the question to the saved answer.", buckets=_SLOW)
FIRST_TEXT_SECONDS = Histogram("insula_first_text_seconds", "From the question to the first text.", buckets=_FAST)
TOKENS = Counter("insula_tokens_total", "Tokens as the vendors count them.", ["provider", "direction"])
RETRIEVAL_SECONDS = Histogram("insula_retrieval_seconds", "From the question to its passages.", buckets=_FAST)

JOBS_ENDED = Counter("insula_job_attempts_total", "Attempts at jobs, by how they ended.", ["kind", "outcome"])
JOB_SECONDS = Histogram("insula_job_attempt_seconds", "Length of an attempt at a job.", ["kind"], buckets=_SLOW)
JOBS_WAITING = Gauge("insula_jobs", "Jobs that have not ended, by state.", ["state"])
STREAMS_OPEN = Gauge("insula_streams_open", "Event streams being sent.")
