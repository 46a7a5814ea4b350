"""What keeps ``docs/`` true: figures drawn from the code, links to its lines, and the commands that tests run."""
