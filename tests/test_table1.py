from pathlib import Path

import pytest
import yaml
from reporting_inputs import cells, section

from worldvla.reporting.pages.table1 import KINDS, write_page

ROOT = Path(__file__).parents[1]


@pytest.fixture
def text(tmp_path: Path) -> str:
    write_page(tmp_path)
    return (tmp_path / "table1.md").read_text()


def test_the_papers_rows_are_as_printed(text):
    assert text.startswith("# Table 1: the kinds of models")
    rows = {line.split("|")[1].strip(): cells(text, line.split("|")[1].strip())[1:] for line in text.splitlines()[4:10]}
    assert [name for name in rows if name != "---" and not name.startswith("-")] == [
        "Model type",
        "Action model",
        "Video prediction model",
        "World model",
        "Action world model",
    ]
    assert rows["Action model"] == ["OpenVLA (Kim et al., 2024)", "π0 (Black et al., 2024)", "T + V", "A"]
    assert rows["Video prediction model"][2:] == ["T + V", "V"]
    assert rows["World model"] == ["iVideoGPT (Wu et al., 2025)", "DWS (He et al., 2025)", "T + V + A", "V"]
    assert rows["Action world model"] == ["WorldVLA", "UVA (Li et al., 2025)", "T + V + A", "V + A"]


def test_the_last_row_is_this_product(text):
    assert cells(text, "This product")[1:] == [
        "action model, video prediction model, world model, action world model",
        "none",
        "T + V + A",
        "V + A",
    ]


def test_variants_are_linked_to_their_pages(text):
    variants = section(text, "The variants")
    assert "Only together with another kind: video prediction model." in variants
    assert cells(variants, "Video prediction model")[1:] == ["video", "[`action_video_chunk_mask`](figure7.md)"]
    assert cells(variants, "Action world model")[2] == (
        "[`action_world`](table3.md), [`action_world_chunk_mask`](table3.md), [`all_data`](table2.md), "
        "[`all_data_other`](table2.md)"
    )
    assert "[`world`](table4.md)" in cells(variants, "World model")[2]


def test_the_variants_are_those_of_the_params():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    variants = params["variants"] | params["finetune"] | params["once"] | params["other_pixels"]
    trained = {name: variant["samples"] for name, variant in variants.items()}
    ours = yaml.safe_load(KINDS.read_text())["variants"]
    assert {name: variant["samples"] for name, variant in ours.items()} == trained


def test_a_product_without_video_samples_predicts_no_video_without_actions(tmp_path):
    data = yaml.safe_load(KINDS.read_text())
    del data["variants"]["action_video_chunk_mask"]
    (tmp_path / "kinds.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    write_page(tmp_path, tmp_path / "kinds.yaml")
    text = (tmp_path / "table1.md").read_text()
    assert cells(text, "This product")[1] == "action model, world model, action world model"
    assert cells(section(text, "The variants"), "Video prediction model")[2] == "none"
    assert "Only together" not in text
