"""One module per stage: typed settings and files in, files out."""
