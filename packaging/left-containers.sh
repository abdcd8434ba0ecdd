	# Records of containers, in whatever state directory an engine has chosen. Those of runc and crun have no such property. Other users can make
	# folders below /run, with any name: what is printed as a command for root has no special characters, and is about root's own containers.
	list_left() {
		format=$1
		shift
		LC_ALL=C find /run -maxdepth 5 -regextype posix-extended -type f -name state.json "$@" \
			-exec grep -qs '"ownPidNamespace"' {} \; -printf "$format" 2>/dev/null || true
	}
	plain='/[A-Za-z0-9_.+:@/-]+/state\.json'
	left=$(list_left '%h\n' -regex "$plain" -user 0)
	others=$(list_left '  %h, of user %u\n' -regex "$plain" ! -user 0)
	strange=$(list_left 'x' ! -regex "$plain")
	if [ -n "$left" ]; then
		echo "runts: these containers are left. Their processes go on, and no other runtime can manage them:"
		echo "$left" | sed 's|\(.*\)/\(.*\)|  runts --root \1 delete --force \2|'
		echo "runts: to delete one, install runts again, and use its engine or the command above."
	fi >&2
	if [ -n "$others" ]; then
		echo "runts: these containers of other users are left, and only they can delete them, once runts is installed again:"
		echo "$others"
	fi >&2
	if [ -n "$strange" ]; then
		echo "runts: below /run there are more records of containers. Their paths have special characters, so they are not listed."
	fi >&2
