"""The embedded sample: a photo-real talking head that needs no download with known ground truth of every signal."""

from talksplat.data.sample.make import make_sample
from talksplat.data.sample.subject import SampleFrame, SampleSubject

__all__ = ["SampleFrame", "SampleSubject", "make_sample"]
