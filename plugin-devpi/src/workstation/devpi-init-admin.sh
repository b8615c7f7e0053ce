#!/bin/sh
# Creates the user ${user} and its index in DevPI, which only root may. The client asks for each password.
set -eu
devpi="$HOME/.local/bin/devpi"
"$devpi" use '${api}'
"$devpi" login root
if "$devpi" user -l | grep -Fx '${user}' >/dev/null; then
    echo 'the user ${user} already exists'
else
    "$devpi" user -c '${user}'
fi
if "$devpi" index '${user}/${index_name}' >/dev/null 2>&1; then
    echo 'the index ${user}/${index_name} already exists'
else
    "$devpi" index -c '${user}/${index_name}' bases=root/pypi
fi
"$devpi" login '${user}'
"$devpi" use '${user}/${index_name}'
echo 'upload with: devpi upload PATH'
echo 'install with: pip install --index-url ${api}/${user}/${index_name}/+simple/ PACKAGE'
