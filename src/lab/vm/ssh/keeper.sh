# Keeps one QEMU and its private directory, made by the pattern $1; ends both when the lab says so, goes away, or is not heard of for half a minute.
umask 077
d=$(mktemp -d "$1") || exit 1
q=
# What the shell has to say of a connection that is gone is not to end it before it is done.
trap '' PIPE
trap 'exit 1' HUP INT TERM
trap 'trap "" HUP INT TERM; [ -z "$q" ] || kill -KILL "$q" "$k" 2>/dev/null; rm -rf "$d"' EXIT
t=
if command -v timeout >/dev/null 2>&1; then t='timeout 30'; fi
hear() { $t sh -c 'IFS= read -r l && echo "$l."'; }
echo "$d"
w=
until [ "$w" = start. ]; do w=$(hear) || exit 1; done
mkfifo "$d/console" || exit 1
cat "$d/console" & k=$!
exec 3<&0
sh "$d/start" </dev/null >/dev/null & q=$!
# Whoever listens is ended by name: its input may be the socket that is everybody's output, too.
(
    trap 'kill "$r"; exit' TERM
    r=
    while :; do
        $t sh -c 'IFS= read -r l' <&3 & r=$!
        wait "$r" || break
    done
    kill -KILL "$q"
) >/dev/null 2>&1 & w=$!
wait "$q"
c=$?
q=
kill "$w"
# A QEMU that never opened its console leaves its reader waiting for a writer.
: >"$d/console" & o=$!
wait "$k"
kill -KILL "$o" 2>/dev/null
exit "$c"
