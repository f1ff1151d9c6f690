"""Finding head poses: one interface, one implementation with MediaPipe landmarks."""
