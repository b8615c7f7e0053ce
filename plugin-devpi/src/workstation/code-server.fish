# DEVPI_INDEX is for where `devpi use` has chosen nothing yet: the client itself takes it before what was chosen.
function devpi --description 'The DevPI client'
    set -l client $HOME/.devpi/client
    test -n "$DEVPI_CLIENTDIR"; and set client $DEVPI_CLIENTDIR
    if grep -qs '"index": "http' $client/current.json
        env -u DEVPI_INDEX devpi $argv
    else
        command devpi $argv
    end
end
