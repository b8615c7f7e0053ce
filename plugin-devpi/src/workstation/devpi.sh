#!/bin/sh
# The DevPI client. Made by thinkube-host; `thinkube-host workstation remove` removes it.
# DEVPI_INDEX is for where `devpi use` has chosen nothing yet: the client itself takes it before what was chosen.
client=$DEVPI_CLIENTDIR
[ -n "$client" ] || client=$HOME/.devpi/client
! grep -qs '"index": "http' "$client/current.json" || unset DEVPI_INDEX
${authorities}# By the interpreter: the scripts beside it name the place where they were installed, and a home may move.
exec "$HOME/.local/share/thinkube/venvs/${release}/bin/python" -I -m devpi "$@"
