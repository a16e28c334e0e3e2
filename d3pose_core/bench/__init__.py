"""How fast the pipeline is on this machine, stage by stage, and how far from what the machine could do."""
