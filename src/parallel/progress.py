"""The progress of a study: a bar on a terminal, elsewhere a line for each unit that ends. Failures come last."""

import sys
import time
from contextlib import suppress

from tqdm import tqdm

from src.system.printing import counted


class Progress:
    """Counts units of a study, or single runs, as they end."""

    def __init__(self, count: int, at_once: int, unit: str = "unit") -> None:
        self.count, self.at_once, self.unit = count, at_once, unit
        self.done = 0
        self.failures: dict[str, str] = {}
        self.began = time.monotonic()
        self.bar = tqdm(total=count, unit=unit, disable=not sys.stderr.isatty())

    def ended(self, name: str, failure: str | None) -> None:
        """Count a unit; `failure` says why it failed."""
        self.done += 1
        if failure is not None:
            self.failures[name] = failure
        self.bar.set_postfix(failed=len(self.failures))
        self.bar.update()
        if self.bar.disable:
            with suppress(OSError):  # nobody reads on; the runs go on
                print(f"{name} {'failed' if failure else 'done'}; {self}", file=sys.stderr, flush=True)

    def tell_failures(self) -> None:
        """Print the reason of each failure, below the bar."""
        self.bar.close()
        for name, failure in self.failures.items():
            print(f"{name}: {failure}", file=sys.stderr)

    def __str__(self) -> str:
        left = self.count - self.done
        running = min(left, self.at_once)
        counts = f"{self.done} of {counted(self.count, self.unit)}, {running} running, {len(self.failures)} failed"
        return f"{counts}, {self._time_for(left)} left" if left else counts

    def _time_for(self, left: int) -> str:
        minutes = round((time.monotonic() - self.began) / self.done * left / 60)
        return f"about {counted(minutes, 'minute')}" if minutes else "less than a minute"
