"""Another border between the frames that train and those that test, in a finished subject folder.

    python experiments/lips/split.py FOLDER BORDER [END]

Frames below BORDER train, those from BORDER to below END (default: the last) test; frames from END on are in neither. GRID's
two files joined, the first against twenty seconds of the second: `split.py data/grid 2700 3200`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from talksplat.files import write_text
from talksplat.subject_format.transforms import SPLITS


def read_splits(folder: Path) -> tuple[dict, list[dict]]:
    """What stands beside the frames, and all frames of both files in their order."""
    contents = [json.loads((folder / f"transforms_{split}.json").read_text()) for split in SPLITS]
    frames = {frame["img_id"]: frame for content in contents for frame in content["frames"]}
    return contents[0], [frames[number] for number in sorted(frames)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("border", type=int)
    parser.add_argument("end", type=int, nargs="?")
    options = parser.parse_args()
    content, frames = read_splits(options.folder)
    end = frames[-1]["img_id"] + 1 if options.end is None else options.end
    parts = {
        "train": [frame for frame in frames if frame["img_id"] < options.border],
        "val": [frame for frame in frames if options.border <= frame["img_id"] < end],
    }
    for split, chosen in parts.items():
        if not chosen:
            parser.error(f"no frame for {split}: the folder has {frames[0]['img_id']} to {frames[-1]['img_id']}")
    for split, chosen in parts.items():
        write_text(options.folder / f"transforms_{split}.json", json.dumps({**content, "frames": chosen}, indent=1))
        print(f"{split}: {len(chosen)} frames, {chosen[0]['img_id']} to {chosen[-1]['img_id']}")


if __name__ == "__main__":
    main()
