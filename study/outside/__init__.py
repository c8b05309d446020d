"""What comes from outside and is not to be trusted: text, names, URLs, files of others, a machine that runs out."""
