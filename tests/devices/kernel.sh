# Builds a kernel that runs as a program (User-Mode Linux) with drivers for cameras and sound cards that need no hardware.
# Sourced by ./tests/devices/run, from the top of the checkout; `say` and `die` are from there.
#
# It takes some ten minutes on two idle processors, once, and a gigabyte and a half while it does; what is left in the cache is 11 MB.

# cache_dir: where the kernel goes. Another source or another configuration is another kernel.
cache_dir() {
    local mark
    mark=$({
        dpkg-query -W -f '${Version}\n' linux-source-6.1 v4l2loopback-source
        cat tests/devices/kernel.config tests/devices/kernel.sh
    } | sha256sum)
    printf '%s/visavis/uml-%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}" "${mark:0:12}"
}

# build_kernel DIR: makes DIR/linux and DIR/modules, unless they are there.
build_kernel() {
    local cache=$1 tree=$1/build/linux source=/usr/src/linux-source-6.1.tar.xz
    [ ! -e "$cache/.complete" ] || return 0
    [ "$(uname -m)" = x86_64 ] || die "the kernel is built for x86_64 only, and this is $(uname -m)"
    rm -rf "$cache"
    mkdir -p "$tree"
    say "Unpack the kernel's source"
    tar -xJf "$source" --strip-components=1 -C "$tree"
    tar -xjf /usr/src/v4l2loopback.tar.bz2 -C "$cache/build"

    # Neither is offered for this kind of kernel: sound cards, although they run on it, and a clock that ticks often
    # enough for them. A loopback card moves sound once a tick.
    sed -i 's/^if !UML/if HAS_IOMEM/' "$tree/sound/Kconfig"
    sed -i '/^config HZ$/,/default/s/default 100/default 1000/' "$tree/arch/um/Kconfig"

    say "Build the kernel, some ten minutes"
    export ARCH=um
    {
        make -C "$tree" defconfig
        (cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$OLDPWD/tests/devices/kernel.config")
        make -C "$tree" olddefconfig
    } >"$cache/log" 2>&1 || die_with_log "$cache/log" "the kernel could not be configured"
    local option
    while read -r option; do
        grep -qxF -- "$option" "$tree/.config" || die "the kernel does not take $option"
    done < <(grep '^CONFIG_' tests/devices/kernel.config)
    make_with_progress "$tree" "$cache/log" linux modules

    say "Build the loopback camera"
    make_with_progress "$tree" "$cache/log" M="$cache/build/modules/v4l2loopback" modules

    local release
    release=$(make -s -C "$tree" kernelrelease)
    mkdir -p "$cache/modules"
    cp "$tree/linux" "$cache/linux"
    strip --strip-debug "$cache/linux"
    {
        make -C "$tree" INSTALL_MOD_PATH="$cache/modules" modules_install
        make -C "$tree" M="$cache/build/modules/v4l2loopback" INSTALL_MOD_PATH="$cache/modules" modules_install
        depmod -b "$cache/modules" "$release"
    } >>"$cache/log" 2>&1 || die_with_log "$cache/log" "the kernel's modules could not be installed"
    # They point into the source.
    rm -rf "$cache/modules/lib/modules/$release"/{build,source} "$cache/build"
    unset ARCH
    touch "$cache/.complete"
}

# make_with_progress TREE LOG TARGET…: with a line that counts what was compiled, or one now and then where nobody watches.
make_with_progress() {
    local tree=$1 log=$2 count=0 line every=500
    shift 2
    [ ! -t 1 ] || every=10
    nice -n 10 make -j"$(nproc)" -C "$tree" "$@" 2>&1 | while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            '  CC '* | '  AS '* | '  LD '*) count=$((count + 1)) ;;
            *) continue ;;
        esac
        [ $((count % every)) = 0 ] || continue
        if [ -t 1 ]; then printf '\r   %d compiled ' "$count"; else printf '   %d compiled\n' "$count"; fi
    done || die_with_log "$log" "the kernel could not be built"
    [ ! -t 1 ] || printf '\r\033[K'
}

die_with_log() {
    tail -n 25 "$1" >&2
    die "$2 (all of its output: $1)"
}
