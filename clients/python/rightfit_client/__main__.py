"""`python -m rightfit_client` is `rightfit`."""

from rightfit_client.command import main

main(prog_name="rightfit")
