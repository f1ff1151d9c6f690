"""Head, neck, torso and background of every frame."""
