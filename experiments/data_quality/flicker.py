"""Share of pixels whose label changes between consecutive frames although the picture only moves.

python experiments/data_quality/flicker.py FOLDER [FOLDER ...] [--every 4]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from talksplat.metrics.label_flicker import flipped_share
from talksplat.subject_format.labels import decode_parsing


def read(root: Path, frame_id: int) -> tuple[np.ndarray, np.ndarray]:
    image = cv2.imread(str(root / "ori_imgs" / f"{frame_id}.jpg"))[..., ::-1]
    return np.ascontiguousarray(image), decode_parsing(cv2.imread(str(root / "parsing" / f"{frame_id}.png")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=4, help="first frames of the pairs are so many frames apart")
    options = parser.parse_args()
    print("folder,pairs,flipped_permille,flipped_p95_permille,patches_permille")
    for root in options.folders:
        frame_ids = sorted(int(path.stem) for path in (root / "parsing").glob("*.png"))
        shares, patches = [], []
        for first, second in list(zip(frame_ids, frame_ids[1:]))[:: options.every]:
            images, labels = zip(read(root, first), read(root, second))
            shares.append(1000 * flipped_share(images, labels))
            patches.append(1000 * flipped_share(images, labels, border=2))
        high = np.nanpercentile(shares, 95)
        print(f"{root.name},{len(shares)},{np.nanmean(shares):.2f},{high:.2f},{np.nanmean(patches):.2f}")


if __name__ == "__main__":
    main()
