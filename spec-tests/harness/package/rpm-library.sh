#!/bin/sh
# Installs a package with /usr/lib64/libseccomp.so.2, a link to the system's library, so that rpm calls the triggers for that file.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
library=$(echo /usr/lib/*-linux-gnu/libseccomp.so.2)
cat >"$directory/library.spec" <<EOF
Name: library
Version: 1
Release: 1
Summary: A link to libseccomp
License: none
AutoReqProv: no
%description
See the summary.
%install
mkdir -p %{buildroot}/usr/lib64
ln -s $library %{buildroot}/usr/lib64/libseccomp.so.2
%files
/usr/lib64/libseccomp.so.2
EOF
rpmbuild -bb --quiet --define "_topdir $directory" "$directory/library.spec"
rpm --install "$directory"/RPMS/*/library-1-1.*.rpm
