"""A one-node Slurm on this machine for tests and for the record of a run. Not part of the package."""
