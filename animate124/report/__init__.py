"""One HTML page about many scenes, in one file that asks for nothing else."""
