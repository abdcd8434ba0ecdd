#!/bin/sh
# The last step of init.sh for a guest whose pid 1 is systemd. Debian's units of the system bus, of logind and of users' managers
# are there, and nothing else of the host's: nobody knows what that starts. User 1234 has their own manager, as after a login.
set -eu
harness=${0%/*}
debian=/usr/lib/systemd/system
units=/run/guest/system
mkdir -p "$units" /run/guest/user
for unit in dbus.service dbus.socket systemd-logind.service dbus-org.freedesktop.login1.service user.slice \
  user@.service user-runtime-dir@.service user-.slice.d; do
  ln -s "$debian/$unit" "$units/$unit"
done
for file in passwd group; do
  cp "/etc/$file" "/run/guest/$file"
  mount --bind "/run/guest/$file" "/etc/$file"
done
echo 'spec:*:1234:1234::/run/tmp:/bin/sh' >>/run/guest/passwd
echo 'spec:x:1234:' >>/run/guest/group
# Directories that services write to.
mount -t tmpfs tmpfs /var/lib/systemd

unit() {
  cat >"$1"
}
for target in sysinit basic sockets shutdown; do
  printf '[Unit]\nDefaultDependencies=no\n' | unit "$units/$target.target"
done
unit "$units/guest.target" <<END
[Unit]
DefaultDependencies=no
Wants=dbus.socket guest.service
END
unit "$units/guest.service" <<END
[Unit]
DefaultDependencies=no
Wants=systemd-logind.service user@1234.service
After=systemd-logind.service user@1234.service
[Service]
ExecStart=$harness/loop.sh
Environment=modules=$modules
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS1
END
mkdir "$units/user@1234.service.d"
unit "$units/user@1234.service.d/units.conf" <<END
[Service]
Environment=SYSTEMD_UNIT_PATH=/run/guest/user:/run/user/1234/systemd/transient SYSTEMD_GENERATOR_PATH=/nonexistent
ExecStart=
ExecStart=/usr/lib/systemd/systemd --user --unit=guest.target
END
for unit in dbus.service dbus.socket; do ln -s "/usr/lib/systemd/user/$unit" "/run/guest/user/$unit"; done
for target in basic sockets shutdown; do
  printf '[Unit]\nDefaultDependencies=no\n' | unit "/run/guest/user/$target.target"
done
unit /run/guest/user/guest.target <<END
[Unit]
DefaultDependencies=no
Wants=dbus.socket
END
# The files where transient units are kept, so that they outlive a daemon-reload.
exec env -i PATH=/usr/sbin:/usr/bin SYSTEMD_GENERATOR_PATH=/nonexistent \
  SYSTEMD_UNIT_PATH="$units:/run/systemd/transient:/run/systemd/system.control" \
  /usr/lib/systemd/systemd --system --unit=guest.target --log-target=console --show-status=0
