"""The words, as values: problems, cases, presets, who takes part, numbers as text. Pure."""
