"""`python -m facelm` is `facelm`."""

from facelm.cli import main

main(prog_name="facelm")
