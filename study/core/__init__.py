"""What all pass along: plain records, errors, files, provenance."""
