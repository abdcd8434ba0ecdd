	# The records of containers, in whatever state directory an engine has chosen. Those of runc and crun have no such property.
	left=$(find /run -maxdepth 5 -type f -name state.json -exec grep -ls '"ownPidNamespace"' {} + 2>/dev/null |
		LC_ALL=C tr -cd '[:print:]\n') || true
	if [ -n "$left" ]; then
		echo "runts: these containers are left. Their processes go on, and no other runtime can manage them:"
		echo "$left" | sed 's|\(.*\)/\(.*\)/state\.json$|  runts --root \1 delete --force \2|'
		echo "runts: to delete one, install runts again, and use its engine or the command above."
	fi >&2
