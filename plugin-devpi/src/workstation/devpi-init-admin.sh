#!/bin/sh
# Makes the user ${user} and its index in DevPI. Only root may: every password is asked for.
set -eu
devpi="$HOME/.local/share/thinkube/venvs/${release}/bin/devpi"
"$devpi" use '${api}'
"$devpi" login root
"$devpi" user -c '${user}' || echo 'the user ${user} is there already, or could not be made' >&2
"$devpi" index -c '${user}/${index_name}' bases=root/pypi ||
    echo 'the index ${user}/${index_name} is there already, or could not be made' >&2
"$devpi" login '${user}'
"$devpi" use '${user}/${index_name}'
echo 'upload with: devpi upload PATH'
echo 'install with: pip install --index-url ${api}/${user}/${index_name}/+simple/ PACKAGE'
