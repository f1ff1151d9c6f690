"""Audio features of speech, in the windows in which an avatar's audio encoder reads them.

Layout of the shared subject folder (GaussianTalker): 50 rows a second, one window of rows for each video
frame, [frames, window, width]. Row r describes the sound from r/50 s to (r+1)/50 s. A centred window of 16 rows, 2k-8 to
2k+7, spans 0.32 s with its middle exactly at k/25 s, the time of frame k; a window of the two rows 2k and 2k+1 is the
sound from frame k to frame k+1, as HuBERT features are stored by the projects that share the folder.
"""

from talksplat.audio.base import ROW_SAMPLES, VIDEO_FPS, AudioFeatures
from talksplat.audio.mel import MelFeatures
from talksplat.audio.speech_model import SpeechModelFeatures
from talksplat.audio.waveform import WaveformFeatures
from talksplat.audio.whisper import WhisperFeatures

__all__ = [
    "ROW_SAMPLES",
    "VIDEO_FPS",
    "AudioFeatures",
    "MelFeatures",
    "SpeechModelFeatures",
    "WaveformFeatures",
    "WhisperFeatures",
]
