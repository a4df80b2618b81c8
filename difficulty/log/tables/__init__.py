"""Samples as people have them: tables with columns of any names, from files, frames or records."""
