"""The commands of ``planner``, one module each, found by name; each holds one `command`."""
