"""List the code of every stage: the files that decide its bytes, by their sha256.

Writes ``data/stage_code/<script>.sha256`` for every other script, as ``sha256sum`` lists files. The other stages depend on their
script's listing instead of on its files: dvc.lock, which DVC reads and writes again around every stage, would name 70 files
for each (docs/decisions/0034-the-code-of-a-stage-is-one-file.md). Takes a second.
"""

from pathlib import Path

from worldvla.files import atomic_folder, write_text
from worldvla.running import console
from worldvla.stage_code import listing, scripts


def main(*, out: Path) -> None:
    """List the code of every stage."""
    listings = {script: listing(script) for script in scripts() if script != Path(__file__).stem}
    with atomic_folder(out) as folder:
        for script, text in listings.items():
            write_text(folder / f"{script}.sha256", text)
    files = {line for text in listings.values() for line in text.splitlines()}
    print(f"{out}: {len(files)} files that decide what {len(listings)} scripts write. Next: resolve")


if __name__ == "__main__":
    console.run(main)
