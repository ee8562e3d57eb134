#!/bin/sh
# Stands for a container engine in tests: takes the words that the helper uses, refuses all others,
# and keeps its store in files of the host that it was started from.
#   version     what `--version` says; absent: podman's words
#   broken      why it does not work, if it does not
#   image       the image is there
#   no-pull     why it cannot be pulled, if it cannot
#   builder     what runs in the container: shell text with $OUT, and the arguments as "$@"
#   container   number of the process that is the container
#   calls       words of each call that changes something
set -u
store=${0%/usr/local/bin/*}/engine
calls() { printf '%s\n' "$*" >>"$store/calls"; }
refuse() {
    printf '%s\n' "$1" >&2
    exit 125
}
case "$1" in
--version)
    cat "$store/version" 2>/dev/null || echo "podman version 5.4.2"
    exit
    ;;
esac
[ ! -e "$store/broken" ] || refuse "$(cat "$store/broken")"
case "$1 ${2-}" in
"info --format" | "version --format") echo 5.4.2 ;;
"image inspect") [ -e "$store/image" ] && echo sha256:0123abcd || refuse "Error: $5: image not known" ;;
"image rm")
    calls "$@"
    rm -f "$store/image"
    ;;
"container inspect") [ -e "$store/container" ] && echo 4567 || refuse "Error: no such container $5" ;;
"pull "*)
    calls "$@"
    [ ! -e "$store/no-pull" ] || refuse "$(cat "$store/no-pull")"
    printf '%s\n' "aaaaaaaaaaaa: Pulling fs layer" "bbbbbbbbbbbb: Pulling fs layer" \
        "aaaaaaaaaaaa: Pull complete" "bbbbbbbbbbbb: Pull complete"
    : >"$store/image"
    ;;
"kill "*)
    calls "$@"
    kill -9 "$(cat "$store/container")" 2>/dev/null || refuse "Error: can only kill running containers"
    ;;
"rm --force")
    calls "$@"
    rm -f "$store/container"
    ;;
"run --rm")
    calls "$@"
    shift 2
    OUT=
    while :; do
        case "$1" in
        --name) shift ;;
        --pull=never | --interactive | --privileged | --security-opt=label=disable) ;;
        -v)
            shift
            case "$1" in *:/out) OUT=${1%:/out} ;; esac
            ;;
        -*) refuse "unknown flag: $1" ;;
        *) break ;;
        esac
        shift
    done
    shift
    echo $$ >"$store/container"
    . "$store/builder"
    status=$?
    rm -f "$store/container"
    exit "$status"
    ;;
*) refuse "unknown command: $*" ;;
esac
