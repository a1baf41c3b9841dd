"""Where the machine's Chromium is; and where there is none, a summary that nobody can overlook."""

import shutil

import pytest

# The shell has no window to draw, and does the same with half the work.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = "There is no Chromium: NONE of the tests of the page were run. Install it with .ci/chromium.sh."


class Summary:
    """Tells how many tests were skipped for it. A plugin, so that it is one however many conftests ask for it."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        skipped = [report for report in terminalreporter.stats.get("skipped", []) if MISSING in str(report.longrepr)]
        if skipped:
            terminalreporter.write_sep("!", f"tests not run: {len(skipped)}", red=True, bold=True)
            terminalreporter.write_line(MISSING, red=True)


def pytest_configure(config: pytest.Config) -> None:
    """For a conftest. Of a run over all tests pytest-xdist's own process reads no other than tests/conftest.py."""
    if not config.pluginmanager.has_plugin("chromium"):
        config.pluginmanager.register(Summary(), "chromium")
