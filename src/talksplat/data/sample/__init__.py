"""The embedded sample: a photo-real talking head that needs no download and whose every signal is known."""

from talksplat.data.sample.make import make_sample
from talksplat.data.sample.subject import SampleFrame, SampleSubject

__all__ = ["SampleFrame", "SampleSubject", "make_sample"]
