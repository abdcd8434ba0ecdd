# A warm image is good for the installed files and libraries, and for one boot of one machine. Where its unit is enabled, that makes a new one.
# Elsewhere an existing image is renewed; none is made, since this may be a file system that another machine will boot.
if [ -d /run/systemd/system ] && systemctl is-enabled --quiet runts-warm.service; then
	@START@ runts-warm.service >/dev/null || true
elif [ -e /usr/lib/runts/runts-warm ]; then
	/usr/lib/runts/runts warm >/dev/null 2>&1 || rm -f /usr/lib/runts/runts-warm
fi
