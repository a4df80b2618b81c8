"""The demonstration: on a recorded log, and live on the lab model."""
