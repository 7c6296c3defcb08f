"""`python -m tocsin.cli`, for those who must start it with an interpreter of their choice."""

from tocsin.cli import main

main()
