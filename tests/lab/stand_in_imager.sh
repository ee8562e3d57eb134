#!/bin/sh
# Stands for the imager of Talos in tests: a base profile as first argument, or "-" and a profile on
# standard input; options; progress on standard error; one file in /out, named after platform and
# architecture, with other bytes in each run. MIB is the size of an ISO in MiB.
#   --extra-kernel-arg stand-in.exit=N   it fails with this status, and says why before
#   --system-extension-image …/absent…   it cannot pull that
#   hold in a layout                     it does not end as long as that file is there
set -eu
kind=$1 platform=metal arch=amd64 status=
shift
fail() {
    echo "Error: $1" >&2
    exit 1
}
pulls() {
    case "$1" in
    */absent*) fail "error pulling $1: no route to host" ;;
    esac
    echo "pulling $1..." >&2
}
argument() {
    case "$1" in
    stand-in.exit=*) status=${1#*=} ;;
    esac
}
if [ "$kind" = - ]; then
    # A profile as we write it: one line of JSON, of which the pairs of texts matter here.
    pairs=$(tr '{}[],' '\n\n\n\n\n' | sed -n 's/^"\([A-Za-z]*\)":"\(.*\)"$/\1 \2/p')
    while read -r key value; do
        case "$key" in
        baseProfileName) kind=$value ;;
        platform) platform=$value ;;
        arch) arch=$value ;;
        imageRef) pulls "$value" ;;
        ociPath)
            [ -f "$value/oci-layout" ] || fail "no layout at $value"
            echo "using OCI image from $value..." >&2
            ;;
        esac
    done <<END
$pairs
END
fi
while [ $# -gt 0 ]; do
    case "$1" in
    --platform) platform=$2 ;;
    --arch) arch=$2 ;;
    --base-installer-image | --system-extension-image) pulls "$2" ;;
    --extra-kernel-arg) argument "$2" ;;
    --meta) ;;
    *) fail "unknown flag: $1" ;;
    esac
    shift 2
done
echo "profile ready:" >&2
printf 'arch: %s\nplatform: %s\n' "$arch" "$platform" >&2
echo "mounts: $(awk '{ printf "%s ", $2 }' /proc/mounts)" >&2
if [ -n "$status" ]; then
    : >/out/half
    echo "Error: extension frr needs Talos >= 9" >&2
    exit "$status"
fi
held() {
    for hold in /layouts/*/hold; do [ ! -e "$hold" ] || return 0; done
    return 1
}
if held; then
    : >/out/half.iso
    echo "building 50%" >&2
    while held; do sleep 0.05; done
fi
case "$kind" in
iso) dd if=/dev/urandom of="/out/$platform-$arch.iso" bs=1M count="$MIB" 2>/dev/null ;;
installer)
    mkdir /work
    cd /work
    sum() { sha256sum "$1" | cut -c 1-64; }
    dd if=/dev/urandom of=vmlinuz bs=64k count=16 2>/dev/null
    tar -cf layer vmlinuz
    rm vmlinuz
    inner=$(sum layer)
    gzip layer
    layer=$(sum layer.gz).tar.gz
    mv layer.gz "$layer"
    printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$arch" "$inner" >config
    config=sha256:$(sum config)
    mv config "$config"
    printf '[{"Config":"%s","RepoTags":["example.org/base:v1"],"Layers":["%s"]}]' "$config" "$layer" >manifest.json
    tar -cf "/out/installer-$arch.tar" "$config" "$layer" manifest.json
    ;;
*) fail "unknown profile $kind" ;;
esac
echo "output written" >&2
