"""Pages as a browser shows them."""

import os
import re
import shutil
import subprocess

BROWSER = shutil.which("chromium")

PHONE = """<!DOCTYPE html>
<iframe id="frame" src="page.html" width="390" height="800"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => setTimeout(() => {
  const page = document.getElementById("frame").contentDocument.documentElement;
  document.getElementById("found").textContent = `page ${page.scrollWidth} of ${page.clientWidth}`;
}, 2000));
</script>
"""


def browse(page, *options):
    """The page's elements after its script has run, and what the browser complains of."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    flags += ["--enable-logging=stderr", f"--user-data-dir={page.parent / 'profile'}"]
    command = [BROWSER, *flags, "--allow-file-access-from-files", *options, page.as_uri()]
    environment = {**os.environ, "LD_PRELOAD": ""}  # a browser starts under no sanitizer
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


def on_a_phone(page):
    """The width of the page, and that of the window."""
    phone = page.with_name("phone.html")
    phone.write_text(PHONE.replace("page.html", page.name))
    dom, complaints = browse(phone)
    assert complaints == []
    return tuple(map(int, re.search(r"page (\d+) of (\d+)", dom).groups()))
