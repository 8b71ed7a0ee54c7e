"""How far a study is: a bar on a terminal, and elsewhere a line for every unit that has ended."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Counts what is to be done: units of a study, or single runs."""

    def __init__(self, count: int, at_once: int, unit: str = "unit") -> None:
        self.count, self.at_once, self.done, self.failed = count, at_once, 0, 0
        self.unit = unit
        self.began = time.monotonic()
        self.bar = tqdm(total=count, unit=unit, disable=not sys.stderr.isatty())

    def ended(self, name: str, failure: str | None) -> None:
        """Count a unit."""
        self.done += 1
        self.failed += failure is not None
        self.bar.set_postfix(failed=self.failed)
        self.bar.update()
        if self.bar.disable:
            print(f"{name} {'failed' if failure else 'done'}; {self}", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        left = self.count - self.done
        minutes = (time.monotonic() - self.began) / self.done * left / 60
        running = min(left, self.at_once)
        counts = f"{self.done} of {self.count} {self.unit}s, {running} running, {self.failed} failed"
        return f"{counts}, about {minutes:.0f} minutes left" if left else counts
