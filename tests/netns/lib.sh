# Two network namespaces and a link between them. Sourced by scripts that need one, with tests/measure/lib.sh and a
# function die; visavis-tap has to be in PATH.

left=visavis-$$-a right=visavis-$$-b

# Ends what the script started and is still running, and takes the namespaces away.
clean_up() {
    local pid
    for pid in $(jobs -p); do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    ip netns del "$left" 2>/dev/null || true
    ip netns del "$right" 2>/dev/null || true
}

# connect LINK EXTRA DIRECTORY [OPTION…]: makes both namespaces, at 10.77.0.1 and 10.77.0.2, and the link between them, with
# more options of visavis-tap.
connect() {
    local link=$1 extra=$2 directory=$3
    shift 3
    ip netns add "$left"
    ip netns add "$right"
    visavis-tap --left "$left:wire" --right "$right:wire" --link "$link" "$@" >"$directory/link.log" 2>&1 &
    tap=$!
    await "$directory/link.log" ready 10 || die "the link did not come up: $(cat "$directory/link.log")"
    local number=1 space
    for space in "$left" "$right"; do
        ip -n "$space" link set lo up
        ip -n "$space" link set wire address "02:00:00:00:00:0$number"
        ip -n "$space" address add "10.77.0.$number/24" dev wire
        ip -n "$space" link set wire up
        # An address request that gets lost would cost a second and say nothing about calls.
        ip -n "$space" neigh replace "10.77.0.$((3 - number))" lladdr "02:00:00:00:00:0$((3 - number))" dev wire nud permanent
        if [ "$extra" = block-udp ]; then
            # Dropped on arrival, as in the middle of a network: the sender learns nothing.
            ip netns exec "$space" nft 'add table inet wall; add chain inet wall in { type filter hook input priority 0; }; add rule inet wall in meta l4proto udp drop'
        fi
        number=2
    done
}
