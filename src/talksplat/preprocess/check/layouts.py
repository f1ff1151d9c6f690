"""Which project made a folder."""

from __future__ import annotations

from talksplat.preprocess.check.folder import Folder


def layout_of(folder: Folder) -> tuple[str, str]:
    """The likeliest project and what tells it; the projects copy each other's layout, so several may fit."""
    header = folder.au_header or []
    has_mesh = folder.track is not None and len(folder.track.vertices) > 0
    if folder.has("manifest.json"):
        return "talksplat", "manifest.json"
    if folder.has("com_imgs") or list(folder.root.glob("*NeRF_config.txt")):
        return "AD-NeRF", "com_imgs or a NeRF configuration"
    if folder.has("aud_ave.npy") or folder.has("bs.npy"):
        return "SyncTalk", "aud_ave.npy or bs.npy"
    if folder.has("teeth_mask"):
        if folder.has("aud_eo.npy") and not folder.has("aud_ds.npy"):
            return "InsTaG", "teeth_mask and aud_eo.npy"
        return "TalkingGaussian or InsTaG", "teeth_mask"
    if has_mesh and "AU45_r" in header:
        return "EGSTalker or GaussianTalker", "vertices in the track, AU45_r without a leading space"
    if has_mesh:
        return "GaussianTalker", "vertices in the track"
    if folder.has("au.csv"):
        return "ER-NeRF", "au.csv, and no vertices in the track"
    if folder.has("gt_imgs") or "aud_eo.npy" in folder.audio:
        return "RAD-NeRF", "neither au.csv nor vertices in the track"
    return "unknown", "nothing tells"


# What is listed: name, whether we need it, what it is for.
ITEMS = (
    ("ori_imgs", True, "frames, and 68 landmarks of each (.lms)"),
    ("parsing", True, "head, neck and torso in colour codes"),
    ("alpha", False, "soft edges of the head; of this project"),
    ("bc.jpg", True, "clean background"),
    ("torso_imgs", False, "neck and torso, continued under the head"),
    ("gt_imgs", False, "person over the background; for RAD-NeRF and its heirs"),
    ("track_params.pt", False, "head poses and start points; or the matrices of the transforms files"),
    ("transforms_train.json", False, "training frames and poses"),
    ("transforms_val.json", False, "held-out frames and poses"),
    ("au.csv", False, "blink and other action units"),
    ("aud.wav", False, "sound, for videos"),
    ("aud*.npy", True, "audio features"),
    ("teeth_mask", False, "of TalkingGaussian and InsTaG; not used"),
    ("bs.npy", False, "of SyncTalk; not used"),
    ("manifest.json", False, "of this project: steps, settings, errors"),
)


def inventory(folder: Folder) -> list[tuple[str, str, str]]:
    """Name, what was found, and what it is for, of every item of the shared layout."""
    rows = []
    for name, needed, purpose in ITEMS:
        rows.append((name, _found(folder, name) or ("missing" if needed else "-"), purpose))
    return rows


def _found(folder: Folder, name: str) -> str:
    if name == "ori_imgs":
        size = "" if folder.size is None else f", {folder.size[0]}x{folder.size[1]}"
        return f"{len(folder.frames)} frames{size}, {len(folder.with_landmarks)} .lms" if len(folder.frames) else ""
    if name == "aud*.npy":
        return ", ".join(f"{file} {list(shape)}" for file, shape in folder.audio.items())
    if name == "track_params.pt" and folder.track is not None:
        return f"{len(folder.track.euler)} poses, {len(folder.track.vertices)} vertices"
    if name == "au.csv" and folder.au_header is not None:
        return f"{len(folder.au_header)} columns"
    if name == "aud.wav" and folder.sound is not None:
        return f"{folder.sound[0]:.2f} s"
    if name.startswith("transforms") and folder.listed is not None:
        ids = folder.listed.ids.get(name.removeprefix("transforms_").removesuffix(".json"))
        return "" if ids is None else f"{len(ids)} frames"
    path = folder.root / name
    if path.is_dir():
        return f"{sum(1 for _ in path.iterdir())} files"
    return "there" if path.is_file() else ""
