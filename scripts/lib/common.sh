# shellcheck shell=bash
# What the scripts share: talking to the reader, and getting what is missing.

# Packages that are missing, by their Debian names.
missing=()

say() { printf '\n==> %s\n' "$*"; }

die() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

# need COMMAND PACKAGE...: remembers the packages when the command is not there.
need() { command -v "$1" >/dev/null 2>&1 || missing+=("${@:2}"); }

# Installs what `need` remembered where that is allowed, and says exactly what to install where it is not.
install_missing() {
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null 2>&1 || die "please install these first (names are Debian's): ${missing[*]}"
    local as_root=()
    if ((EUID != 0)); then
        as_root=(sudo --non-interactive)
        "${as_root[@]}" true 2>/dev/null || die "please run this first: sudo apt-get install --yes ${missing[*]}"
    fi
    say "Installing ${missing[*]}"
    "${as_root[@]}" apt-get update --quiet
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
    missing=()
}

# Rust does not come from Debian: its version there is years behind.
need_rust() {
    need cc gcc libc6-dev
    command -v cargo >/dev/null 2>&1 || die "please install Rust first: https://rustup.rs"
}

# need_cargo SUBCOMMAND COMPONENT: a part of Rust that rustup brings.
need_cargo() {
    cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2" || die "please run this first: rustup component add $2"
}

# A port of the loopback address that nobody listens on, below those that the system gives away itself.
free_port() {
    local port tries
    for ((tries = 0; tries < 100; tries++)); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    die "found no free port"
}
