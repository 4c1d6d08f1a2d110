"""The first page: the forest plot and three sentences, the claims by verdict, the tables in short, and the list of pages."""

from collections.abc import Mapping
from pathlib import Path

from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.claims import CLAIMS, Judged
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.pages import claims, rates, table4
from worldvla.reporting.pages.template import write

PAGES = {
    "claims": ("Claims", "what the paper claims, the verdict on each, both intervals, the power"),
    "table1": ("Table 1", "the kinds of models of actions and videos, and which of them are trained here"),
    "table4": ("Table 4", "predicted clips; scores, use of the action, copying, the two world models compared"),
    "figure4": ("Figure 4", "the same episodes by the action model and by the action world model"),
    "figure5": ("Figure 5", "predicted clips below the truth, as pictures and in motion"),
    "training": ("Training", "the loss of every model, and what the images keep after the tokenizer"),
    "forensics": (
        "Forensics",
        "what the paper's printed numbers say by themselves; episodes, averages, differences, claims",
    ),
    "runs": ("Runs", "from every number to its commands, params, data, weights, commits and machines"),
}


def write_page(folder: Path, inputs: Inputs, judged: Mapping[str, Judged]) -> None:
    """Write ``README.md``."""
    shown = {**RATES, "table4": {"contents": "predicted clips"}}
    tables = {
        f"{rates.title_of(name)}: {shown[name]['contents'].split(';')[0]}": (
            rates.headline(inputs, name) if name in RATES else table4.headline(inputs)
        )
        for name in sorted(shown, key=lambda name: ("tfp".index(name[0]), name))
    }
    write(
        folder / "README.md",
        inputs,
        template="first",
        drawn=claims.draw(folder, judged),
        counted=claims.counted(judged).values(),
        scored=claims.scored(inputs),
        simulators=sorted({part.made_of["simulator"] for run in inputs.rollouts.read for part in run.parts.values()}),
        tally=claims.tally(judged),
        by_verdict=claims.by_verdict(judged),
        known=CLAIMS,
        tables=tables,
        pages=PAGES | {name: (rates.title_of(name), entry["contents"]) for name, entry in RATES.items()},
    )
