"""Long work as a process of its own, which outlives the tab and the server: start, watch, stop, resume, delete.

What a job does is decided by its kind (`worker.KINDS`); where it lives and what
state it is in by `store`; how its process is started and ended by `process`.
States come from the disk and the process, never from a browser's session.
"""

from .process import resume, start, stop
from .store import JobStatus, delete, jobs, jobs_folder, status, sweep

__all__ = ["JobStatus", "delete", "jobs", "jobs_folder", "resume", "start", "status", "stop", "sweep"]
