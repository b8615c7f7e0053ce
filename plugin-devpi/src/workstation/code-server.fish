# The client prefers DEVPI_INDEX to the choice of `devpi use`, so the variable is unset after a choice.
function devpi --description 'The DevPI client'
    set -l client $HOME/.devpi/client
    test -n "$DEVPI_CLIENTDIR"; and set client $DEVPI_CLIENTDIR
    if grep -qs '"index": "http' $client/current.json
        env -u DEVPI_INDEX devpi $argv
    else
        command devpi $argv
    end
end
