#!/bin/sh
# Tells rpm what the system has, though dpkg has installed it: installs a package without files that provides what rpm's own generators
# find in the system's shared libraries, and the programs that are there.
set -eu
# A folder that distributions with rpm have.
mkdir -p /usr/share/licenses
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
{
  printf 'Name: system\nVersion: 1\nRelease: 1\nSummary: What dpkg has installed\nLicense: none\nAutoReqProv: no\n'
  find /usr/lib/*-linux-gnu -maxdepth 1 -name '*.so.*' | /usr/lib/rpm/rpmdeps --provides | sort -u | sed 's/^/Provides: /'
  for file in /bin/sh /usr/bin/newuidmap; do
    if [ -e "$file" ]; then echo "Provides: $file"; fi
  done
  printf '%%description\nSee the summary.\n%%files\n'
} >"$directory/system.spec"
rpmbuild -bb --quiet --define "_topdir $directory" "$directory/system.spec"
rpm --install "$directory"/RPMS/*/system-1-1.*.rpm
