"""Head poses and start points refined on the pixels themselves."""
