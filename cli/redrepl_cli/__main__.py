"""`python -m redrepl_cli`: the same as the command `redrepl`."""

from redrepl_cli.main import main

main()
