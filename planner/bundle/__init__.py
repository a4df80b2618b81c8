"""The folder that training leaves: written, checked, loaded, and restricted to some generators."""
