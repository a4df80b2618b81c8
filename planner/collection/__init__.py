"""Draw and grade samples for a log: planned, journalled, resumable, on one machine or many."""
