"""Sound, video and faces in them: files in and out, before anything is known of subjects and avatars."""

SAMPLE_RATE = 16_000  # of all sound, Hz
