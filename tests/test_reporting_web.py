"""The report as one page: nothing outside it is needed, and a browser shows it, light and dark, wide and narrow."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from reporting_inputs import make_project, write_reports

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")

# Opens a page by its tab, sorts a table twice, follows a number to its run, and writes what came of it into the title.
SCRIPT = """
<script>
addEventListener("load", () => {
  const seen = [document.documentElement.dataset.ready];
  location.hash = "#table3";
  setTimeout(() => {
    const table = document.querySelector("#table3 table"), button = table.tHead.rows[0].cells[3].querySelector("button");
    const rates = () => [...table.tBodies[0].rows].map(row => row.cells[3].textContent).filter(text => text.includes("%"));
    button.click();
    seen.push(rates().join(","));
    button.click();
    seen.push(rates().join(","));
    location.hash = table.querySelector("a[href^='#run-']").hash;
    setTimeout(() => {
      const shown = [...document.querySelectorAll("section")].filter(one => !one.hidden).map(one => one.id);
      const wide = document.documentElement.scrollWidth > innerWidth;
      const pictures = [...document.images].filter(one => one.complete && !one.naturalWidth).length;
      document.title = [...seen, shown, wide, pictures].join("; ");
    }, 300);
  }, 300);
});
</script>
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("web"))) / "index.html"


def test_the_page_needs_nothing_but_itself(index):
    text = index.read_text()
    assert index.stat().st_size < 5_000_000
    found: list[tuple[str, str]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.extend((key, value or "") for key, value in attrs)  # type: ignore[method-assign]
    parser.feed(text)
    ids = {value for key, value in found if key == "id"}
    assert not [value for key, value in found if key == "src" and not value.startswith("data:")]
    inside = {value[1:] for key, value in found if key == "href" and value.startswith("#")}
    assert inside <= ids | {"run-world-goal-1", "run-action_world_chunk_mask-goal-1"}
    outside = {value for key, value in found if key == "href" and not value.startswith(("#", "data:"))}
    assert outside == {
        "episodes.csv",
        "trainings.csv",
        "distances.csv",
        "queries.csv",
        "clips.csv",
        "training_loss.csv",
        "validation_loss.csv",
        "index.html",
    }
    assert "http" not in re.sub('data:[^"]*', "", text).replace("http-equiv", "")
    for name in ("forest.png", "figure4-goal.gif", "figure5-goal.gif", "training-goal.png"):
        assert (index.parent / name).exists()
    assert text.count("data:image/gif") == 2  # both films in motion
    assert text.count("<section") == len(list(index.parent.glob("*.md")))


@browser
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_sorts_and_follows_without_an_error(index, tmp_path, size, dark):
    page = tmp_path / "index.html"
    page.write_text(index.read_text().replace("</body>", f"{SCRIPT}</body>"))
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size[0]},{size[1]}"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    shown = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    assert "CONSOLE" not in shown.stderr
    title = re.search("<title>(.*?)</title>", shown.stdout)
    assert title
    ready, up, down, section, wide, broken = title[1].split("; ")
    rates = [float(rate) for rate in re.findall(r"([\d.]+) %", up)]
    assert ready == "yes"
    assert len(rates) == 4
    assert rates == sorted(rates)
    assert [float(rate) for rate in re.findall(r"([\d.]+) %", down)] == rates[::-1]
    assert (section, wide, broken) == ("runs", "false", "0")
    picture = tmp_path / "shown.png"
    subprocess.run([*command, f"--screenshot={picture}", index.as_uri()], capture_output=True, check=True, timeout=120)
    with Image.open(picture) as opened:
        corner = opened.convert("L").getpixel((2, opened.height - 2))
    assert isinstance(corner, int)
    assert (corner < 60) is dark
