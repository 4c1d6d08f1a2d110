"""Pages from templates: a page's words and tables stand in the file beside its module, the numbers come from the module.

A template is markdown with Jinja's ``{{ values }}``. A paragraph, an item and a row may break anywhere; tables need no alignment.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from worldvla.reporting import words
from worldvla.reporting.inference.published import comparability
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.markdown import aligned
from worldvla.reporting.provenance import link

# How a line of its own begins: a row, a heading, a tag, a picture, an item. Any other goes on with the line before it, as one
# with a cell that is empty does: it begins with a space.
BEGINS = re.compile(r"\||#|</?\w|!\[|- |\d+\. ")


def _shown(value: object) -> str:
    """Return a value as it stands in a page; in a table's cell ``|`` is escaped, which a block of lines may hold."""
    text = "" if value is None else str(value)
    return text if "\n" in text else text.replace("|", "\\|")


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    one.__name__: one for one in (words.between, words.decimal, words.digits, words.number, words.p, words.percent)
}
ENVIRONMENT.filters |= {"signed": words.signed, "span": words.span, "link": link}


def render(template: str, **values: object) -> str:
    """Return a template with its values, blocks with one empty line between them."""
    blocks = ENVIRONMENT.get_template(f"{template}.md.j2").render(values).split("\n\n")
    return "\n\n".join(filter(None, map(_block, blocks)))


def write(path: Path, inputs: Inputs | None = None, template: str = "", **values: object) -> None:
    """Write a page of the template of its name, or of another one; if it is about our runs, it says which."""
    if inputs:
        ours = {"params": inputs.params, "about": inputs.about, "comparable": comparability(inputs.params)}
        values = ours | values
    path.write_text(render(template or path.stem, **values) + "\n", encoding="utf-8")


def _block(text: str) -> str:
    """Return a block as the page has it: a table aligned, lists and headings line by line, a paragraph in one line."""
    lines: list[str] = []
    for line in text.splitlines():
        spaced = " ".join(line.split())
        if lines and spaced and not BEGINS.match(line):
            lines[-1] += f" {spaced}"
        elif spaced:
            lines.append(spaced)
    return aligned(lines) if lines and lines[0].startswith("|") else "\n".join(lines)
