"""The whole report as one page of HTML that needs nothing else: pictures inside, tables that sort, numbers that lead to runs."""

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

TEMPLATE = Path(__file__).with_name("web.html")
FIRST = ("README", "claims")  # of the pages, in the order of the tabs; the runs come last
KINDS = {".png": "image/png", ".gif": "image/gif"}
MOST_BYTES = 5_000_000  # so that it opens at once, and can be mailed


def write_page(folder: Path) -> None:
    """Write ``index.html`` of the pages and pictures that lie in a folder.

    Pictures that would make it larger than 5 MB stay links to their files, the largest first.
    """
    names = {path.stem for path in folder.glob("*.md")}
    ordered = [*FIRST, *sorted(names - {*FIRST, "runs"}), "runs"]
    pages = {name: (folder / f"{name}.md").read_text(encoding="utf-8") for name in ordered if name in names}
    used = {link for text in pages.values() for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)}
    sizes = sorted((4 * (folder / name).stat().st_size // 3, name) for name in used)
    room, inside = MOST_BYTES - 2 * sum(map(len, pages.values())), dict[str, str]()
    for size, name in sizes:
        if (room := room - size) > 0:
            content = base64.b64encode((folder / name).read_bytes()).decode()
            inside[name] = f"data:{KINDS[Path(name).suffix]};base64,{content}"
    convert = MarkdownIt("commonmark", {"html": True}).enable("table")
    sections, tabs = [], []
    for name, text in pages.items():
        title = text.split("\n", 1)[0].lstrip("# ")
        tabs.append(f'<a href="#{name}">{"Overview" if name == "README" else title.split(" at ")[0].split(":")[0]}</a>')
        sections.append(f'<section id="{name}">{_linked(convert.render(text), pages, inside)}</section>')
    content = TEMPLATE.read_text(encoding="utf-8")
    title = html.escape(pages["README"].split("\n", 1)[0].lstrip("# "))
    for place, words in (("TITLE", title), ("TABS", "\n".join(tabs)), ("PAGES", "\n".join(sections))):
        content = content.replace(f"<!-- {place} -->", words)
    (folder / "index.html").write_text(content, encoding="utf-8")


def _linked(text: str, pages: dict[str, str], inside: dict[str, str]) -> str:
    """Return a page's HTML with pictures inside it, links to the other sections, and an anchor at each run."""
    text = re.sub(r'src="([^"]+)"', lambda found: f'loading="lazy" src="{inside.get(found[1], found[1])}"', text)
    text = re.sub(r'href="runs\.md#([^"]+)"', r'href="#run-\1"', text)
    text = re.sub(r'href="(\w+)\.md"', lambda found: f'href="#{found[1]}"' if found[1] in pages else found[0], text)
    text = re.sub(r"<h2>(\w+-[\w-]+)</h2>", r'<h2 id="run-\1">\1</h2>', text)
    return text.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
