# The library live555, from its package on PyPI, liblivemedia, and how to compile with it. Sourced by vlc-live555 and live555-server from the
# project's folder; they say `die`, and in `log` where what a step says goes.

library=liblivemedia-1.0.5
live555=$(realpath -m "${CARGO_TARGET_DIR:-target}")/interop/liblive555
mkdir -p "$live555/objects"

# What a step says is of interest when it fails.
logged() { "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "this failed: $*"; }; }

# compile FILE OBJECT FLAG…: in the background, as many at once as there are processors.
compile() {
    local file=$1 object=$2 compiler=(gcc)
    shift 2
    [[ $file != *.cpp ]] || compiler=(g++ -std=gnu++20)
    [ ! "$object" -nt "$file" ] || return 0
    while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do wait -n || exit; done
    logged nice "${compiler[@]}" -O1 -fPIC -w "$@" -c "$file" -o "$object" &
}

# Waits for all that is being compiled.
compiled() { while [ "$(jobs -pr | wc -l)" -gt 0 ]; do wait -n; done; }

# Fetches the library and compiles it. Its headers are then in `includes`, as flags.
build_live555() {
    local part file
    if [ ! -d "$live555/$library" ]; then
        [ -e "$live555/venv/bin/pip" ] || logged /usr/bin/python3 -m venv "$live555/venv"
        logged "$live555/venv/bin/pip" --disable-pip-version-check download --no-deps --no-binary :all: --dest "$live555" "${library/-/==}"
        tar -xzf "$live555/$library.tar.gz" -C "$live555"
    fi
    includes=()
    for part in UsageEnvironment BasicUsageEnvironment groupsock liveMedia; do includes+=("-I$live555/$library/$part/include"); done
    # Without TLS, as VLC has it.
    for file in "$live555/$library"/{UsageEnvironment,BasicUsageEnvironment,groupsock,liveMedia}/*.{c,cpp}; do
        [ ! -e "$file" ] || compile "$file" "$live555/objects/$(basename "$file").o" "${includes[@]}" \
            -DNO_OPENSSL=1 -DSOCKLEN_T=socklen_t -DBSD=1
    done
    compiled
}
