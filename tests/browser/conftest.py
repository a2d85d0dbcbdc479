"""A real Chromium, and the real service on a real Kafka for it to look at."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, installed by scripts/debian_tools.py where it is missing and that is possible.

    No longer than a module: while it runs there is an event loop, and other tests begin one of their own.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # starts a driver of its own

    sys.path.insert(0, str(ROOT / "scripts"))
    from debian_tools import chromium as find  # noqa: PLC0415

    program = find()
    with sync_playwright() as playwright:
        # A container has neither the namespaces of the sandbox nor much shared memory; it opens our page only.
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Console:
    """What went wrong on a page: errors, warnings, requests that failed."""

    def __init__(self, page):
        self.problems = []
        page.on("console", lambda m: m.type in ("error", "warning") and self.problems.append(m.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("requestfailed", self._failed)

    def _failed(self, request):
        if "ERR_ABORTED" not in request.failure:  # the page itself went on to another one
            self.problems.append(f"{request.url}: {request.failure}")


@pytest.fixture
def new_page(chromium):
    """Open pages, each in a profile of its own: `new_page(url, width=390, color_scheme="dark")`."""
    contexts = []

    def new(url, width=1440, color_scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=color_scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.console = Console(page)
        page.goto(url)
        return page

    yield new
    for context in contexts:
        context.close()
