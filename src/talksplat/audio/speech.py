"""Text to speech with espeak-ng, whose library and voices come in the `espeakng_loader` wheel.

The robot voice suffices to drive an avatar without a recording, and gives the embedded sample real phonemes.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from talksplat.errors import UserError

SPEECH_RATE = 22050  # Hz, fixed by espeak-ng's formant synthesiser
RATE_RANGE = (80, 450)  # words a minute that espeak-ng accepts
PITCH_RANGE = (0, 99)

# Constants of espeak-ng's C interface (speak_lib.h).
_OUTPUT_SYNCHRONOUS = 2  # samples go to the callback of the calling thread: no background thread
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH = 1, 2, 3
_POSITION_CHARACTER = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_LOCK = threading.Lock()  # the library is one global synthesiser


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """espeak-ng, loaded anew and unloaded afterwards.

    Its oscillator phases and random numbers are globals that no call resets: in a library that stays loaded the same
    text comes out some milliseconds longer or shorter the second time. Loading takes 5 ms.
    """
    try:
        import espeakng_loader

        library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path())
    except (ImportError, OSError) as error:
        raise UserError(
            f"speech needs espeak-ng, which cannot be loaded here ({error}): pip install espeakng-loader"
        ) from error
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    unsigned, pointer = ctypes.c_uint, ctypes.c_void_p
    text_arguments = [ctypes.c_char_p, ctypes.c_size_t, unsigned, ctypes.c_int, unsigned, unsigned, pointer, pointer]
    library.espeak_Synth.argtypes = text_arguments
    try:
        rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), _INITIALIZE_DONT_EXIT)
        if rate != SPEECH_RATE:
            raise UserError(f"espeak-ng could not start with its voices in {data}: reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(1)
        yield library
        library.espeak_Terminate()
    finally:
        unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
        unload(library._handle)


def _check(text: str, rate_wpm: int, pitch: int) -> str:
    text = "".join(letter for letter in text if letter.isprintable() or letter.isspace()).strip()
    if not text:
        raise UserError("text is empty: give at least one word to speak")
    for name, value, (low, high) in (("rate_wpm", rate_wpm, RATE_RANGE), ("pitch", pitch, PITCH_RANGE)):
        if not low <= value <= high:
            raise UserError(f"{name}={value} is outside {low} to {high}")
    return text


def _collect(blocks: list[np.ndarray]) -> Callable:
    def receive(samples, count, _events):
        if samples and count > 0:
            blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    return _Callback(receive)


def speak(text: str, voice: str = "en", rate_wpm: int = 150, pitch: int = 50) -> np.ndarray:
    """Speech of `text` as float32[n] in [-1, 1], mono, at `SPEECH_RATE` (22,050 Hz).

    `voice` is an espeak-ng voice or language ("en", "en-us", "de", "cmn", "en+f3"); `rate_wpm` words a minute; `pitch`
    0 to 99. The same arguments give the same samples. Several threads may call it.

    Raises:
        UserError: no text or nothing speakable in it, unknown voice, rate or pitch out of range, no espeak-ng.
    """
    text = _check(text, rate_wpm, pitch)
    blocks: list[np.ndarray] = []
    callback = _collect(blocks)
    encoded = text.encode("utf-8")
    with _LOCK, _fresh_library() as library:
        if not voice or library.espeak_SetVoiceByName(voice.encode("utf-8")) != 0:
            raise UserError(f"voice={voice!r} is not a voice of espeak-ng: try en, en-us, de, fr, es or cmn")
        library.espeak_SetParameter(_PARAMETER_RATE, int(rate_wpm), 0)
        library.espeak_SetParameter(_PARAMETER_PITCH, int(pitch), 0)
        library.espeak_SetParameter(_PARAMETER_VOLUME, 100, 0)
        library.espeak_SetSynthCallback(callback)
        status = library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        library.espeak_Synchronize()
    if status != 0:
        raise UserError(f"espeak-ng could not speak this text (status {status}): shorten it or choose another voice")
    samples = np.concatenate(blocks).astype(np.float32) / 32768 if blocks else np.zeros(0, np.float32)
    if not np.any(samples):
        raise UserError(f"nothing in text={text[:40]!r} can be spoken with voice={voice!r}: give words")
    return samples
