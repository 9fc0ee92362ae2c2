#!/bin/sh
# Records the vectors on this machine: record.sh [FILE]. Needs gcc, binutils, python3, x86-64 Linux.
set -eu
cd "$(dirname "$0")"
file=$(realpath "${1:-../test/resources/vectors/integer.bin.gz}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }
cpu="$(field 'model name'), $(field vendor_id) family $(field 'cpu family') model $(field model)"
cpu="$cpu stepping $(field stepping) microcode $(field microcode)"
python3 forms.py > "$work/forms.s"
as -o "$work/forms.o" "$work/forms.s"
gcc -std=gnu11 -Wall -Wextra -O2 -static -no-pie -fno-pie -o "$work/recorder" recorder.c "$work/forms.o"
"$work/recorder" "$cpu" "$(date -u +%F)" "$work/vectors"
mkdir -p "$(dirname "$file")"
gzip -9 -n < "$work/vectors" > "$file"
ls -l "$file"
