"""The first page: the forest plot and three sentences, the claims by verdict, the tables in short, and the list of pages."""

from collections.abc import Mapping
from pathlib import Path

from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.claims import Judged
from worldvla.reporting.inference.published import comparability
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.markdown import page
from worldvla.reporting.pages import claims, rates, table4

PAGES = {
    "claims": "Claims: what the paper claims, the verdict on each, both intervals, the power",
    "table1": "Table 1: the kinds of models of actions and videos, and which of them are trained here",
    "table4": "Table 4: predicted clips; scores, use of the action, copying, the two world models compared",
    "figure4": "Figure 4: the same episodes by the action model and by the action world model",
    "figure5": "Figure 5: predicted clips below the truth, as pictures and in motion",
    "training": "Training: the loss of every model, and what the images keep after the tokenizer",
    "forensics": "Forensics: what the paper's printed numbers say by themselves; episodes, averages, differences, claims",
    "runs": "Runs: from every number to its commands, params, data, weights, commits and machines",
} | {name: f"{rates.title_of(name)}: {entry['contents']}" for name, entry in RATES.items()}
RAW = {
    "episodes.csv": "every episode of every training that a page shows",
    "trainings.csv": "every training's rate",
    "clips.csv": "every score of every predicted clip",
}


def write_page(folder: Path, inputs: Inputs, judged: Mapping[str, Judged]) -> None:
    """Write ``README.md``."""
    params = inputs.params
    simulators = sorted({part.made_of["simulator"] for run in inputs.rollouts.read for part in run.parts.values()})
    listed = [
        f"- [{title.split(': ')[0]}]({name}.md): {title.split(': ', 1)[1]}" for name, title in sorted(PAGES.items())
    ]
    listed += [f"- [{name}]({name}): {words}" for name, words in RAW.items()]
    parts = []
    for name, entry in sorted({**RATES, "table4": None}.items(), key=lambda item: ("tfp".index(item[0][0]), item[0])):
        if entry is None:
            parts += ["## Table 4: predicted clips", table4.headline(inputs)]
        else:
            parts += [f"## {rates.title_of(name)}: {entry['contents'].split(';')[0]}", rates.headline(inputs, name)]
    text = page(
        f"# WorldVLA, reproduced at scale `{params.scale}`",
        claims.draw(folder, judged),
        *claims.sentences(inputs, judged),
        f"{inputs.about} {params.demonstrations.capitalize()} demonstrations. Ours and the paper's are {comparability(params)}. "
        f"{claims.scored(inputs)} {f'Simulated by {chr(59).join(simulators)}.' if simulators else ''} The same as one page that "
        "needs no network, with the films in motion: [index.html](index.html).",
        "## What the paper claims",
        f"{claims.tally(judged)} In brackets the 95 % interval over trainings, which decides; below "
        f"{params.claims.trainings} trainings of each model there is no verdict. Rules, powers, and the interval over initial "
        "states: [claims](claims.md).",
        *claims.lists(judged),
        "## The tables in short",
        "In brackets the 95 % interval over initial states (Wilson's) or clips (bootstrap), of these trainings; SD: how far "
        "single trainings spread, in points or dB.",
        *parts,
        "## Pages",
        "\n".join(listed),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
