"""Plans, outcomes and policies for other tools: batch files, dataframes, decision tables."""
