"""What imports cost: `python -m benchmarks.imports MODULE ...` prints the time and memory of each package, as JSON.

As `python -X importtime`, but with memory, and for packages: what a module itself takes, without what it imports.
"""

import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from typing import Any

_PAGE = resource.getpagesize()


@dataclass
class Costs:
    """Seconds and bytes of each top-level package."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    size: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _inner: list[list[float]] = field(default_factory=lambda: [[0.0, 0]])
    """What the modules took that those being imported now import themselves."""

    def measured(self, load: Callable[..., Any], name: str, *args: Any) -> Any:
        """Call `load`, and count what it takes as the package's of the module `name`."""
        self._inner.append([0.0, 0])
        begun_at, before = time.perf_counter(), resident()
        try:
            return load(*args)
        finally:
            seconds, size = time.perf_counter() - begun_at, resident() - before
            inner_seconds, inner_size = self._inner.pop()
            package = name.partition(".")[0]
            self.seconds[package] += seconds - inner_seconds
            self.size[package] += size - int(inner_size)
            self._inner[-1][0] += seconds
            self._inner[-1][1] += size


def resident() -> int:
    """Bytes of this process's memory (RSS)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def main() -> None:
    """Import the modules and tell what it took."""
    costs = Costs()
    _measure(SourceFileLoader, "exec_module", lambda module: module.__name__, costs)
    _measure(ExtensionFileLoader, "create_module", lambda spec: spec.name, costs)
    begun_at, before = time.perf_counter(), resident()
    for name in sys.argv[1:]:
        import_module(name)
    took = {"seconds": time.perf_counter() - begun_at, "bytes": resident() - before, "modules": len(sys.modules)}
    packages = {name: [costs.seconds[name], costs.size[name]] for name in costs.seconds}
    json.dump({**took, "packages": packages}, sys.stdout)


def _measure(loader: type, method: str, name_of: Callable[[Any], str], costs: Costs) -> None:
    original = getattr(loader, method)

    def measured(self: Any, subject: Any) -> Any:
        return costs.measured(original, name_of(subject), self, subject)

    setattr(loader, method, measured)


if __name__ == "__main__":
    main()
