from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from talksplat.audio.speech import SPEECH_RATE, speak
from talksplat.errors import UserError


def test_speech_has_words_and_length():
    short = speak("Hello.")
    long = speak("Hello world, this is a talking head.")
    assert long.dtype == np.float32 and long.ndim == 1
    assert 1.2 < len(long) / SPEECH_RATE < 4
    assert len(long) > 1.5 * len(short)
    assert 0.05 < np.abs(long).max() <= 1


def test_same_arguments_give_the_same_samples_whatever_came_before():
    first = speak("One two three.")
    fast = speak("One two three.", rate_wpm=300)
    speak("Guten Tag.", voice="de", pitch=90)
    assert len(fast) < 0.75 * len(first)
    np.testing.assert_array_equal(speak("One two three."), first)


def test_pitch_moves_the_fundamental():
    def fundamental(samples):
        samples = samples[: SPEECH_RATE // 3]
        correlation = np.correlate(samples, samples, "full")[len(samples) - 1 :]
        shortest = 60
        return SPEECH_RATE / (shortest + correlation[shortest:400].argmax())

    assert fundamental(speak("aaaaaah", pitch=90)) > fundamental(speak("aaaaaah", pitch=10)) + 20


def test_threads_do_not_mix_their_words():
    texts = ["One.", "Two and three.", "Four, five and six.", "Seven."] * 2
    alone = [speak(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(speak, texts))
    for a, b in zip(alone, together):
        np.testing.assert_array_equal(a, b)


def _in_child(queue):
    queue.put(speak("Hello child."))


def test_a_forked_child_can_speak():
    expected = speak("Hello child.")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    samples = queue.get(timeout=600)
    child.join(600)
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"text": " \n"}, "text is empty"),
        ({"text": "\x00\x01"}, "text is empty"),
        ({"text": "Hello", "voice": "klingonese"}, "klingonese"),
        ({"text": "Hello", "voice": ""}, "voice="),
        ({"text": "Hello", "rate_wpm": 5}, "rate_wpm=5"),
        ({"text": "Hello", "pitch": 400}, "pitch=400"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(UserError, match=words):
        speak(**arguments)
