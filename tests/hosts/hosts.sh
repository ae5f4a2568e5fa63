# tests/hosts/hosts.sh: hosts made of name spaces.  Sourced; bash.
#
# A host has its own network, host name, mounts (/dev/shm and /tmp are its own)
# and process numbers; a bridge joins them.  Host a is where the test itself
# runs; what stands in a file is seen by all but for those two folders.  All of
# it lives inside name spaces of the test's own: nothing survives it, however it
# ends, and processes of all hosts are in the test's /proc.

# run_in_name_spaces COMMAND...: run it inside and end with its code; exit 77
# where name spaces cannot be made, or hosts would not see the test's folder
# HOSTS_WORK.  Returns if this is inside.
run_in_name_spaces()
{
    [ "${HOSTS_INSIDE:-}" != yes ] || return 0
    case $HOSTS_WORK in
    /tmp/* | /dev/shm/*)
        echo "NOT RUN: hosts have their own /tmp and /dev/shm, and would not see $HOSTS_WORK"
        exit 77
        ;;
    esac
    command -v ip nsenter >/dev/null &&
        unshare --net --uts --ipc --mount --pid --fork true 2>/dev/null || {
        echo 'NOT RUN: name spaces cannot be made here'
        exit 77
    }
    unshare --net --uts --ipc --mount --pid --fork --kill-child \
        env HOSTS_INSIDE=yes "$@"
    exit $?
}

# own_memory: /dev/shm and /tmp of a host
own_memory()
{
    mount -t proc proc /proc &&
        mount -t tmpfs -o mode=1777 shm /dev/shm &&
        mount -t tmpfs -o mode=1777 tmp /tmp
}

# make_hosts FOLDER NAME...: FOLDER, of the test, is seen by all hosts; the
# first is this one.  Leaves FOLDER/enter, which Hydra can start in place of ssh.
make_hosts()
{
    local folder=$1 name n=0 init
    shift
    hosts_folder=$folder
    mount --make-rprivate /
    ip link set lo up
    ip link add bridge type bridge
    ip link set bridge up
    {
        echo '127.0.0.1 localhost'
        for name; do echo "10.9.0.$((++n)) $name"; done
    } >"$folder/known"
    n=0
    for name; do
        if [ $((++n)) = 1 ]; then
            own_memory && hostname "$name"
            ip link add "to-$name" type veth peer name eth0
            ip link set "to-$name" master bridge up
            ip addr add 10.9.0.1/24 dev eth0
            ip link set eth0 up # not the bridge's: UCX passes that over
            mount --bind "$folder/known" /etc/hosts
            continue
        fi
        mkfifo "$folder/up-$name"
        unshare --net --uts --ipc --mount --pid --fork --kill-child \
            bash -c "$(declare -f own_memory)
                own_memory && hostname $name && ip link set lo up &&
                echo up >$folder/up-$name
                while :; do sleep 1000 & wait; done" & # collects its orphans
        read -r <"$folder/up-$name"
        init=$(pgrep -P $!)
        rm "$folder/up-$name"
        echo "$init" >"$folder/init-$name"
        ip link add "to-$name" type veth peer name eth0 netns "$init"
        ip link set "to-$name" master bridge up
        on "$name" ip addr add "10.9.0.$n/24" dev eth0
        on "$name" ip link set eth0 up
    done
    cat >"$folder/enter" <<EOF
#!/bin/bash
# Hydra's ssh: [-x] HOST COMMAND..., which may hold quotes for a shell; like ssh
# it keeps nothing open that mpiexec has
for fd in /proc/self/fd/*; do
    fd=\${fd##*/}
    [ "\$fd" -le 2 ] || eval "exec \$fd>&-"
done
[ "\$1" != -x ] || shift
host=\$1; shift
[ "\$host" != "\$(hostname)" ] || exec bash -c "\$*"
[ -f $folder/init-\$host ] || { echo "ssh: Could not resolve hostname \$host: Name or service not known" >&2; exit 255; }
exec nsenter --target \$(cat $folder/init-\$host) --net --uts --ipc --mount --pid bash -c "\$*"
EOF
    chmod +x "$folder/enter"
}

# on HOST COMMAND...: run it there
on()
{
    local host=$1
    shift
    [ -f "$hosts_folder/init-$host" ] || { "$@"; return; }
    nsenter --target "$(cat "$hosts_folder/init-$host")" --net --uts --ipc \
        --mount --pid "$@"
}

# cut_off HOST: its network is gone
cut_off()
{
    ip link set "to-$1" down
}

mend()
{
    ip link set "to-$1" up
}
