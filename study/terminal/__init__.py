"""What a person sees at the terminal: commands, progress, tables."""
