"""Worker processes: one job each at a time, and none of them outlives the runner.

Decides how jobs reach workers (`python -P -m testbed.runner.worker`, one JSON line in, one out) and how they
end. A worker holds the read end of a pipe whose only write end is the runner's: end of file, whatever the
reason, `kill -9` included, ends it and with it the lab that hangs on it. Workers have a session of their own,
so that Ctrl-C reaches the runner alone. Must not know what a job is.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from testbed.interpreter import child_environment, module

GRACE = 20.0  # seconds that a worker has to take its lab down once its pipe has closed


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    job: dict[str, Any] | None = None
    reader: threading.Thread | None = None


class Pool:
    """Use as a context manager; leaving it ends every worker."""

    def __init__(self, size: int, command: list[str] | None = None) -> None:
        self.size = size
        self.command = command or module("testbed.runner.worker")
        self._workers: list[_Worker] = []
        self._heard: queue.SimpleQueue[tuple[_Worker, bytes]] = queue.SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.process.stdin:
                with contextlib.suppress(OSError):
                    worker.process.stdin.close()
        for worker in self._workers:
            try:
                worker.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            self._close(worker)
        self._workers.clear()

    def run(
        self,
        jobs: deque[dict[str, Any]],
        started: Callable[[dict[str, Any]], None] = lambda job: None,
        wake: Callable[[], None] = lambda: None,
        every: float = 0.5,
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yields (job, reply) as they end; the caller may add to `jobs` meanwhile. `started` is told of a job
        before a worker gets it; `wake` is called now and then, for whoever shows progress."""
        while jobs or any(worker.job for worker in self._workers):
            self._feed(jobs, started)
            with contextlib.suppress(queue.Empty):
                worker, line = self._heard.get(timeout=every)
                reply = json.loads(line) if line else self._remove(worker)
                if reply is not None:
                    job, worker.job = worker.job, None
                    assert job is not None
                    yield job, reply
            wake()

    def _feed(self, jobs: deque[dict[str, Any]], started: Callable[[dict[str, Any]], None]) -> None:
        idle = deque(worker for worker in self._workers if worker.job is None)
        while jobs and (idle or len(self._workers) < self.size):
            worker = idle.popleft() if idle else self._start()
            worker.job = jobs.popleft()
            started(worker.job)
            assert worker.process.stdin is not None
            # A worker that has died shows itself as end of file on its other pipe.
            with contextlib.suppress(BrokenPipeError):
                worker.process.stdin.write(json.dumps(worker.job).encode() + b"\n")
                worker.process.stdin.flush()

    def _start(self) -> _Worker:
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=child_environment(),
        )
        worker = _Worker(process)
        worker.reader = threading.Thread(target=self._read, args=(worker,), daemon=True)
        worker.reader.start()
        self._workers.append(worker)
        return worker

    def _read(self, worker: _Worker) -> None:
        """In a thread of its own, since pipes cannot be waited for together on every system: pass on each
        line, then b"" at the end. A line that a dying worker did not finish is not a reply."""
        assert worker.process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in worker.process.stdout:
                if line.endswith(b"\n"):
                    self._heard.put((worker, line))
        self._heard.put((worker, b""))

    def _close(self, worker: _Worker) -> None:
        """After its process has ended, so that its reader has as well."""
        if worker.reader is not None:
            worker.reader.join(GRACE)
        if worker.process.stdout:
            worker.process.stdout.close()

    def _remove(self, worker: _Worker) -> dict[str, Any] | None:
        """Forget a worker that has ended; the reply for the job that it had, if any."""
        if worker.process.stdin:
            with contextlib.suppress(OSError):
                worker.process.stdin.close()
        status = worker.process.wait()
        self._close(worker)
        self._workers.remove(worker)
        if worker.job is None:
            return None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return {"status": "failed", "message": f"its worker process {how}"}
