"""What the workflow runs on: its configuration, the table of scenes, and what a stage depends on.

The Snakefile asks `animate124.scenes.plan` alone. Nothing here loads torch.
"""
