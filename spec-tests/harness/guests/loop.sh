#!/bin/sh
# guest.ts sends lines `NUMBER SECONDS` over this terminal: run NUMBER.sh of the exchange folder, at most so long, and leave what it
# prints there. The answer is `done NUMBER CODE`.
set -eu
export TMPDIR=/run/tmp
# A static program starts much faster where the processor is emulated.
export PATH="/run/rootfs/bin:$PATH"
cd /run
stty raw -echo
echo "done 0 0"
while read -r number seconds; do
  code=0
  timeout -s KILL "$seconds" sh "/run/exchange/$number.sh" </dev/null >"outputs/$number.out" 2>"outputs/$number.err" || code=$?
  # A container may keep these files open: only what is closed is sure to be on the host.
  cat "outputs/$number.out" >"exchange/$number.out"
  cat "outputs/$number.err" >"exchange/$number.err"
  echo "done $number $code"
done
