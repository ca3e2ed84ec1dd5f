"""Images and captions: what is read, checked and streamed to the device."""
