#!/bin/sh
# Creates the secrets of docker-compose.yml that do not exist yet, in the folder secrets or the one that is named.
# A container reads a file with the user of its own image, so the file is readable and the folder is not.
set -eu
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in postgres-password grafana-password; do
    file=$folder/$name
    if [ -e "$file" ]; then continue; fi
    openssl rand -hex 24 >"$file.new"
    chmod 644 "$file.new"
    mv "$file.new" "$file"
    echo "created $file" >&2
done
