# shellcheck shell=bash
# A private PostgreSQL and a private Redis for one run: free ports of the loopback address, a temporary folder, gone at the end.
# Sets `postgres_url` and `redis_url`. Whoever starts them stops them in an EXIT trap.
# shellcheck disable=SC2034 # the two are read by the script that sources this

servers_folder=
postgres_bin=
redis_pid=
# PostgreSQL refuses to run as root, so that root borrows another user for it.
as_postgres=()

need_servers() {
    need redis-server redis-server
    find_postgres || missing+=(postgresql)
}

# The newest PostgreSQL here that is new enough. Debian keeps its programs out of the PATH.
find_postgres() {
    local folder version
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort --reverse --version-sort) "$(pg_config --bindir 2>/dev/null || true)"; do
        [[ -x $folder/initdb ]] || continue
        version=$("$folder/postgres" --version | grep --only-matching --extended-regexp '[0-9]+' | head --lines=1)
        if ((version >= 15)); then
            postgres_bin=$folder
            return 0
        fi
    done
    return 1
}

start_servers() {
    find_postgres || die "PostgreSQL 15 or newer is needed"
    servers_folder=$(mktemp --directory)
    start_postgres
    start_redis
}

start_postgres() {
    local port data=$servers_folder/postgres
    mkdir "$data"
    if ((EUID == 0)); then
        local user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        as_postgres=(runuser --user "$user" --)
        chown "$user" "$servers_folder" "$data"
    fi
    port=$(free_port)
    say "Starting PostgreSQL ($postgres_bin) on port $port"
    in_servers_folder "$postgres_bin/initdb" --pgdata="$data" --username=farebox --auth=trust --encoding=UTF8 --locale=C --no-sync >"$servers_folder/initdb.log" ||
        die "initdb failed: $(cat "$servers_folder/initdb.log")"
    # Nothing here has to survive a power cut.
    in_servers_folder "$postgres_bin/pg_ctl" start --pgdata="$data" --log="$data/log" --wait --silent \
        --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$servers_folder -c max_connections=400 -c fsync=off -c full_page_writes=off" ||
        die "PostgreSQL did not start: $(cat "$data/log")"
    postgres_url=postgres://farebox@127.0.0.1:$port/postgres
}

start_redis() {
    local port tries
    port=$(free_port)
    say "Starting Redis on port $port"
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$servers_folder" >"$servers_folder/redis.log" &
    redis_pid=$!
    for ((tries = 0; tries < 100; tries++)); do
        if [[ $(redis-cli -p "$port" ping 2>/dev/null) == PONG ]]; then
            redis_url=redis://127.0.0.1:$port/0
            return
        fi
        kill -0 "$redis_pid" 2>/dev/null || break
        sleep 0.1
    done
    die "Redis did not start: $(cat "$servers_folder/redis.log")"
}

stop_servers() {
    [[ -n $servers_folder ]] || return 0
    if [[ -n $redis_pid ]]; then
        kill "$redis_pid" 2>/dev/null || true
        wait "$redis_pid" 2>/dev/null || true
    fi
    if [[ -f $servers_folder/postgres/postmaster.pid ]]; then
        in_servers_folder "$postgres_bin/pg_ctl" stop --pgdata="$servers_folder/postgres" --mode=immediate --silent || true
    fi
    rm --recursive --force "$servers_folder"
    servers_folder=
}

# The user of PostgreSQL may not look into the folder that we stand in.
in_servers_folder() { (cd "$servers_folder" && "${as_postgres[@]}" "$@"); }
