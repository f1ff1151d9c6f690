"""Checks a subject folder and prints what it found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from talksplat.command_line import setting
from talksplat.config.auto_audio import BEST
from talksplat.data.head_cloud import with_head_cloud
from talksplat.data.mask_checks import check_masks, load_checked
from talksplat.errors import UserError
from talksplat.preprocess.check.findings import Finding, Level
from talksplat.preprocess.check.folder import Folder
from talksplat.preprocess.check.image_traps import IMAGE_TRAPS
from talksplat.preprocess.check.layouts import inventory, layout_of
from talksplat.preprocess.check.pose_traps import FOLDER_TRAPS, SUBJECT_TRAPS
from talksplat.preprocess.check.signal_traps import SIGNAL_TRAPS, audio_settings
from talksplat.subject_format.subject import Subject, load_background, read_subject

STYLES = {Level.GOOD: "green", Level.NOTE: "cyan", Level.WARN: "yellow", Level.BAD: "red"}


def check_folder(root: Path, console: Console) -> bool:
    """Print a folder's contents, its likely origin, the traps in it, and whether it would train; returns the latter.

    Images of up to 40 frames are opened; of the others only the existence is checked.

    Raises:
        UserError: no such folder.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise UserError(f"no such folder: {root} (check)")
    folder = Folder(root)
    findings, name = examine(folder)
    _print_inventory(folder, console)
    _print_findings(findings, console)
    trains = not any(finding.level is Level.BAD for finding in findings)
    if trains:
        settings = " ".join(audio_settings(name, folder.audio[name]))
        console.print(
            f"[green]would train[/]: python train.py dataset=portrait {escape(setting('dataset.root', root))} {escape(settings)}",
            soft_wrap=True,
        )
    else:
        console.print("[red]would not train[/]: mend the errors above", soft_wrap=True)
    return trains


def examine(folder: Folder) -> tuple[list[Finding], str]:
    """All findings, errors last, and the audio feature file that training would use."""
    findings = [finding for trap in (*IMAGE_TRAPS, *FOLDER_TRAPS, *SIGNAL_TRAPS) for finding in trap(folder)]
    subject, name, errors = _read(folder)
    if subject is not None:
        findings += [finding for trap in SUBJECT_TRAPS for finding in trap(folder, subject)]
        findings += [Finding(Level.NOTE, "reader", note) for note in subject.notes]
        errors += _open_images(folder, subject)
    reasons = dict.fromkeys([*folder.errors, *errors])
    findings += [Finding(Level.BAD, "reader", reason) for reason in reasons]
    order = [Level.GOOD, Level.NOTE, Level.WARN, Level.BAD]
    return sorted(findings, key=lambda finding: order.index(finding.level)), name


def _read(folder: Folder) -> tuple[Subject | None, str, list[str]]:
    """The subject with the first of its audio features that can be read, their name, and why none can."""
    errors = []
    usable = {name: shape for name, shape in folder.audio.items() if len(shape) in (2, 3)}
    for name, shape in sorted(usable.items(), key=lambda item: item[0] != f"aud_{BEST}.npy"):  # as audio=auto would
        two_rows = len(shape) == 3 and shape[1] == 2
        window = 16 if two_rows else shape[1] if len(shape) == 3 else 1
        try:
            return read_subject(folder.root, [name], shape[-1], window, soft_masks=True), name, []
        except UserError as error:
            errors.append(str(error))
    if not usable:
        errors.append(f"{folder.root} has no audio features (aud*.npy) that can be read")
    return None, "", errors


def _open_images(folder: Folder, subject: Subject) -> list[str]:
    """Why the sampled frames, or the start points where there are none, cannot be used."""
    try:
        check_masks(subject)
        plate = load_background(subject)
        for frame_id in folder.sample:
            if frame_id in subject.frame_ids:
                load_checked(subject, frame_id, plate)
        if not len(subject.vertices):
            with_head_cloud(subject)
    except UserError as error:
        return [str(error)]
    return []


def _print_inventory(folder: Folder, console: Console) -> None:
    project, reason = layout_of(folder)
    table = Table(title=f"{escape(str(folder.root))}: looks like {project} ({reason})", title_justify="left")
    for column in ("item", "found", "what it is"):
        table.add_column(column, overflow="fold")
    for name, found, purpose in inventory(folder):
        style = "red" if found == "missing" else "dim" if found == "-" else ""
        table.add_row(*(escape(cell) for cell in (name, found, purpose)), style=style)
    console.print(table)


def _print_findings(findings: list[Finding], console: Console) -> None:
    table = Table(title="what was looked at", title_justify="left")
    for column in ("", "about", "finding"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        style = STYLES[finding.level]
        table.add_row(f"[{style}]{finding.level.value}[/]", finding.topic, escape(finding.text))
    console.print(table)
