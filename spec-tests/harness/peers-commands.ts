import type { Deviation } from "./peers.ts";

/** What of crun's command line Debian's runc 1.1.15 has not, and what it does otherwise. */
export const RUNC_COMMANDS: readonly Deviation[] = [
  {
    reason: "has no such command",
    titles: [
      "explain…",
      "validate…",
      "run --profile…",
      "create --profile in…",
      "create --profile that…",
      "create --profile with…",
      "profile…",
      "mounts add to a container with mountLabel:…",
    ],
  },
  {
    reason:
      "who outlives init in a shared pid namespace can't be killed before 1.2 (opencontainers/runc#4102)",
    before: "1.2",
    titles: ["kill KILL, shared pid namespace, init has ended: its other processes are killed"],
  },
  {
    reason: "a closed descriptor of --preserve-fds is an error",
    titles: [
      "run --preserve-fds 38 with 9 and 40 open: just they reach the program",
      "run --preserve-fds 90 with nothing open: nothing reaches the program",
      "create --preserve-fds 38 with 9 and 40 open: the waiting init holds nothing else of the host",
      "exec --preserve-fds 38 with 9 and 40 open: just they reach the program",
    ],
  },
  {
    reason: "with LISTEN_FDS, its own descriptors pass for those of --preserve-fds and reach the program",
    titles: [
      "create, LISTEN_FDS=1 and --preserve-fds 4 with 3 and 6 open: just they reach the program",
      "create, LISTEN_FDS=2 and --preserve-fds 2 with 4 closed: error, nothing left",
    ],
  },
  {
    reason: "leaves the directory of the container",
    from: "1.3",
    titles: ["create, --preserve-fds 100000, with descriptor 3 closed: one clear line, nothing left"],
  },
  {
    reason: "SIGKILL goes to all in the cgroup of a container that has stopped, even to another container's",
    from: "1.2",
    titles: ["kill [--all] KILL, stopped, another container has its cgroup now: that one runs on"],
  },
  {
    sometimes: true,
    reason: "with --all, SIGKILL goes to all in the cgroup, even to another container's",
    before: "1.2",
    titles: ["kill [--all] KILL, stopped, another container has its cgroup now: that one runs on"],
  },
  {
    reason: "waits for the end of init, which the kernel holds up until all in its pid namespace are reaped",
    titles: [
      "delete --force with a process of exec that nobody reaps: deleted",
      "kill KILL with a process of exec that nobody reaps: stopped, and can be deleted",
    ],
  },
  {
    reason: "options of crun",
    titles: [
      "create --no-subreaper: taken, without effect",
      "create --config: that file in place of the bundle's",
      "run --config: that file in place of the bundle's",
      "create --config, no such file: error that names it, nothing left",
      "kill --regex, delete --regex: the containers that match, no others",
      "delete --regex --force, running: killed and deleted",
      "kill --regex with what is no regular expression: error",
      "--cgroup-manager disabled: the container stays in the caller's cgroup",
      "--cgroup-manager disabled: no cgroup is made, the commands work",
      "--cgroup-manager disabled with limits: error, nothing left",
      "--log file:PATH: the log is PATH",
      "spec --file: writes that file, again and again",
    ],
  },
  {
    reason: "pressure and --pidfd-socket came with 1.2",
    before: "1.2",
    titles: [
      "events --stats: pressure, as the kernel shows it",
      "--pidfd-socket of create: a pidfd of init, by which it can be ended",
      "--pidfd-socket of run --detach: a pidfd of init",
      "--pidfd-socket of exec --detach: a pidfd of the process",
      "--pidfd-socket of exec, process in the foreground: its end by the pidfd is its exit code",
    ],
  },
  {
    reason: "makes the directory of --root for list, too",
    before: "1.2",
    titles: [
      "list with a --root that does not exist: error, it is not made",
      "list --quiet with a --root that does not exist: error, it is not made",
      "list --format json with a --root that does not exist: error, it is not made",
    ],
  },
  {
    reason: "the state of a container stays when its pidfd can't be handed over",
    from: "1.2",
    titles: ["--pidfd-socket that nobody listens on: error, nothing left"],
  },
  {
    reason: "events without --stats needs the memory controller",
    titles: [
      "events with an interval: lines until the container stops, then exit 0",
      "events, container is deleted by force meanwhile: exit 0",
      "events, SIGTERM: ends it, not the container",
      "events, its reader ends: it ends, too",
    ],
  },
  {
    reason:
      "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
    before: "1.2",
    titles: ["run, a process of the container is orphaned: becomes a child of run"],
  },
  {
    sometimes: true,
    reason:
      "processes that outlive init in a shared pid namespace stay in most runs (opencontainers/runc#4102)",
    before: "1.2",
    titles: ["run --no-subreaper, a process of the container is orphaned: does not become a child of run"],
  },
  {
    reason: "SIGPROF is taken by the profiler of Go",
    titles: ["run, SIGPROF sent to the runtime: goes on to the program"],
  },
  {
    sometimes: true,
    reason: "the signal may come before its handlers are there, and is lost",
    titles: ["run, signalled while the container is created: the program gets it, and nothing is left"],
  },
  {
    sometimes: true,
    reason: "its stage of an exec that fails ends later than the command",
    titles: ["exec --process-label that the kernel has no module for: error, nothing left"],
  },
];

/** Debian's crun 1.21. */
export const CRUN_COMMANDS: readonly Deviation[] = [
  {
    reason: "options have two dashes",
    titles: ["-log and -root with one dash: the same"],
  },
  {
    reason: "ps prints pids alone, and takes no options for ps",
    titles: [
      "ps with -f after the id: an option of ps",
      "ps with options of ps: its columns",
      "ps with options that leave the PID out: error",
      "ps with options that ps refuses: its error",
    ],
  },
  {
    reason: "ps does not look below a sub-cgroup that holds no process itself",
    before: "1.28",
    titles: ["ps --format json, processes in sub-cgroups: among them"],
  },
  {
    reason: "the rootless template keeps the network namespace",
    titles: ["spec --rootless: a user namespace with the caller's ids, no network namespace"],
  },
  {
    reason: "pause and resume take a container of any status that has not stopped, and created hides paused",
    titles: [
      "pause, created: paused, not to be started, and created again by resume",
      "pause, paused: error, and it stays paused",
      "resume, created: error, and it stays created",
      "resume, running: error, and it stays running",
    ],
  },
  {
    reason: "signal names are in capitals, and a number may have letters behind it",
    titles: ["kill term, running: the program gets SIGTERM", 'kill "9x": error, and the container runs on'],
  },
  {
    reason: "descriptors that are not open are skipped, however many, sockets of LISTEN_FDS as well",
    titles: [
      "create, --preserve-fds 100000, with descriptor 3 closed: one clear line, nothing left",
      "create, LISTEN_FDS=2 and --preserve-fds 2 with 4 closed: error, nothing left",
    ],
  },
  {
    reason:
      "its own descriptors, in 1.28 even the host's root directory, stand where closed ones were handed over",
    titles: ["create --preserve-fds 38 with 9 and 40 open: the waiting init holds nothing else of the host"],
  },
  {
    reason:
      "a failed poststart hook is a warning before 1.28, and kills all that is in the container's cgroup since",
    titles: [
      "poststart hook fails, the container has ended, its cgroup is another container's by now: that one runs on",
    ],
  },
  {
    reason:
      "poststop hooks run while the id is still taken; before 1.28 a failed poststart hook is a warning",
    titles: [
      "run, start fails, its id is taken meanwhile: the other container stays",
      "run --detach, start fails, its id is taken meanwhile: the other container stays",
    ],
  },
  {
    reason: "has no such command",
    titles: [
      "explain…",
      "validate…",
      "run --profile…",
      "create --profile in…",
      "create --profile that…",
      "create --profile with…",
      "profile…",
      "mounts add to a container with mountLabel:…",
    ],
  },
  {
    reason: "SIGKILL goes to init alone, and with --all to the cgroup, whose ever it is",
    titles: [
      "kill KILL, shared pid namespace, init has ended: its other processes are killed",
      "kill [--all] KILL, stopped, another container has its cgroup now: that one runs on",
    ],
  },
  {
    reason: "takes an init for running that the kernel holds up until all in its pid namespace are reaped",
    titles: ["kill KILL with a process of exec that nobody reaps: stopped, and can be deleted"],
  },
  {
    reason: "options of create end at the id, --rootless takes any word, and --no-pivot any propagation",
    titles: [
      "create, options after the id: taken as before it",
      "--rootless with another word: error",
      "run --no-pivot: as of create, so it can't have a private root",
    ],
  },
  {
    reason: "the lines of --debug are of another form, and tell of other things",
    titles: [
      "--debug: in the log what the filter leaves out, and the same result",
      "run --debug --log: steps in the log, the program's streams and exit code unchanged",
      "run --debug without --log: steps on stderr, none on stdout",
    ],
  },
  {
    reason: "makes the directory of --root for list, too",
    titles: [
      "list with a --root that does not exist: error, it is not made",
      "list --quiet with a --root that does not exist: error, it is not made",
      "list --format json with a --root that does not exist: error, it is not made",
    ],
  },
  {
    reason: "an entry of the log in JSON goes over several lines",
    from: "1.28",
    titles: ["run --debug --log-format json: each line an object of level debug"],
  },
  {
    reason: "has no such option",
    titles: ["--criu in front of any command: taken"],
  },
  {
    reason: "has neither events nor --pidfd-socket",
    titles: [
      "events --stats, running: one line, exit 0",
      "rootless events --stats, no cgroup: one line without counts, exit 0",
      "events --stats: pressure, as the kernel shows it",
      "events --stats, created: one line, exit 0",
      "events --stats, paused: one line, exit 0",
      "events with an interval: lines until the container stops, then exit 0",
      "events, container is deleted by force meanwhile: exit 0",
      "events, SIGTERM: ends it, not the container",
      "events, its reader ends: it ends, too",
      "events, stopped: error",
      "events, unknown id: error in the words that engines match",
      "events --interval …",
      "--pidfd-socket of create: a pidfd of init, by which it can be ended",
      "--pidfd-socket of run --detach: a pidfd of init",
      "--pidfd-socket of exec --detach: a pidfd of the process",
      "--pidfd-socket of exec, process in the foreground: its end by the pidfd is its exit code",
    ],
  },
  {
    reason: "the error names config.json, whatever the file",
    before: "1.28",
    titles: ["create --config, no such file: error that names it, nothing left"],
  },
  {
    reason: "an unknown id is reported as a file that can't be opened in 1.21",
    before: "1.28",
    titles: [
      "kill --regex, delete --regex: the containers that match, no others",
      "--log file:PATH: the log is PATH",
    ],
  },
  {
    reason: "an expression that does not compile is taken for one that matches nothing",
    titles: ["kill --regex with what is no regular expression: error"],
  },
  {
    reason: "limits are ignored without a cgroup",
    titles: ["--cgroup-manager disabled with limits: error, nothing left"],
  },
  {
    sometimes: true,
    reason: "a procfs that has been unmounted since it was listed may hold it for ever",
    titles: ["run --no-pivot, a procfs of the host comes and goes meanwhile: no error"],
  },
  {
    sometimes: true,
    reason: "the terminal gets its size when the program runs already",
    titles: ["run with a terminal: of the caller's size, the exit code is the program's"],
  },
  {
    reason: "--no-subreaper is taken and ignored",
    titles: ["run --no-subreaper, a process of the container is orphaned: does not become a child of run"],
  },
  {
    reason: "what has no record is deleted without force, too",
    titles: ["delete --force, a state folder without a record: removed"],
  },
  {
    reason: "a label is ignored without SELinux",
    titles: ["exec --process-label that the kernel has no module for: error, nothing left"],
  },
];
