/** What help and manual pages say beyond the tables of options. */
export interface ManualEntry {
  /** Paragraphs. */
  readonly description: readonly string[];
  /** A command line, and what it does. */
  readonly examples: readonly (readonly [commandLine: string, meaning: string])[];
  readonly exitStatus?: readonly (readonly [code: string, meaning: string])[];
}

/** Of the whole program. */
export const programManual: ManualEntry & { readonly files: readonly (readonly [string, string])[] } = {
  description: [
    "runts makes containers from bundles: directories with a config.json, as the OCI runtime specification describes it, and a root file " +
      "system. Engines such as podman, docker and containerd call it by its path; people call it directly.",
    "The container's process runs in the namespaces, the cgroup and behind the system call filter that the config asks for. What can't be " +
      "done is an error that names the property of the config, and leaves nothing behind.",
  ],
  examples: [
    ["runts spec", "write a config.json to start from into the current directory, which has a rootfs"],
    ["runts run box", "run the bundle in the current directory, and delete the container after its end"],
    ["runts exec -t box sh", "a shell in the container"],
    ["podman --runtime /usr/local/bin/runts run alpine true", "the same by an engine"],
  ],
  exitStatus: [
    ["0", "it is done; `run`, `restore` and `exec` give the exit code of the process instead"],
    ["1", "it is not: one line on standard error says why"],
    ["3", "there is no such command"],
    ["128+N", "of `run` and `exec`: signal N has ended the process"],
  ],
  files: [
    ["/run/runts", "state of root's containers"],
    ["$XDG_RUNTIME_DIR/runts", "that of other users' containers"],
  ],
};

/** By the command's name. */
export const manual: Readonly<Record<string, ManualEntry>> = {
  checkpoint: {
    description: [
      "Saves all processes of a running container to image files by criu(8), which must be installed: memory, open files, what they run. The " +
        "container ends with that and is deleted, unless it shall run on. Bind mounts and namespaces that are joined by path are not saved: they " +
        "have to be there at the restore.",
      "An error has the causes that criu's log gives, and where that log is: dump.log in the work path, or the image path.",
    ],
    examples: [
      ["runts checkpoint --image-path /srv/saved web", "save and end it"],
      [
        "runts checkpoint --image-path /srv/saved --leave-running --tcp-established web",
        "save it with its connections; it runs on",
      ],
      ["runts checkpoint --image-path /srv/saved/1 --pre-dump web", "save its memory beforehand"],
      ["runts checkpoint --image-path /srv/saved/2 --parent-path ../1 web", "save the rest, and end it"],
    ],
  },
  create: {
    description: [
      "Makes the container: its namespaces, cgroup and mounts, and an init that waits for `start`. The hooks prestart, createRuntime and " +
        "createContainer run. Standard input, output and error become those of the container's process.",
    ],
    examples: [
      ["runts create --bundle /srv/web --pid-file /run/web.pid web", "as an engine does it"],
      [
        "runts create --bundle /srv/web --profile /tmp/trace.json web",
        "the time of each system call, for Perfetto",
      ],
      [
        "runts create --bundle /srv/web --console-socket /run/console.sock web",
        "whoever listens at the socket gets the master end of the terminal",
      ],
    ],
  },
  delete: {
    description: [
      "Removes the cgroup and the state of a container that has stopped or was never started, and runs its poststop hooks.",
    ],
    examples: [
      ["runts delete web", "a stopped container"],
      ["runts delete --force web", "also one that runs; one that does not exist is no error"],
      ["runts delete --force --regex '^test-'", "all whose ids match"],
    ],
  },
  doctor: {
    description: [
      "Without an argument: what this host offers to containers and what it lacks, each with what to change.",
      "With a container's id: is it what its config says? Namespaces, cgroup and limits, device program, mounts, masked and read-only paths, device " +
        "nodes, capabilities, user, filter, rlimits and labels of its init are compared with the config. What a program may have changed itself is a note.",
    ],
    examples: [
      ["runts doctor", "the host"],
      ["runts doctor web", "the container web"],
      ["runts doctor --json web", "the same for a program"],
    ],
    exitStatus: [
      ["0", "nothing is bad, though something may be missing"],
      ["1", "containers can't be made here, or the container differs from its config"],
    ],
  },
  events: {
    description: [
      "Prints a line of JSON at each interval with what the container uses (CPU, memory, processes, block and huge page usage, pressure), and one " +
        "for each OOM kill, until it stops. For a container without a cgroup, `--stats` prints a line without counts.",
    ],
    examples: [
      ["runts events --interval 1s web", "every second"],
      ["runts events --stats web", "once"],
    ],
  },
  exec: {
    description: [
      "Executes a further process in a running container: in its namespaces and cgroup, behind its filter, with the environment, user and " +
        "capabilities of its process unless options say otherwise. Options end at the container's id.",
    ],
    examples: [
      ["runts exec web ps aux", "a command"],
      ["runts exec -t --user 1000:1000 --env A=b web sh", "a shell on a terminal, as another user"],
      ["runts exec --process process.json web", "everything from a file"],
    ],
    exitStatus: [
      ["N", "that of the process"],
      ["255", "it was not executed"],
    ],
  },
  explain: {
    description: [
      "Prints every operation of create and start in order, by the steps of the specification's lifecycle: what each is for, the system calls, " +
        "and the JSON pointer of the property that asks for it. Nothing is done, and no right is needed. What is known only when it is done " +
        "stands in angle brackets.",
      "With `--diff` the two arguments are bundles or config files: what only the first asks for is marked with -, what only the second with +.",
      "With the global option `--systemd-cgroup`, what systemd is asked for is there too, with each property of the unit. Without systemd " +
        "one is assumed; one that runs is asked where its own cgroup is, and for nothing else.",
    ],
    examples: [
      ["runts explain --bundle /srv/web", "all system calls"],
      ["runts explain --brief --bundle /srv/web", "what is done and why"],
      ["runts explain --json --bundle /srv/web", "each operation as JSON"],
      ["runts explain --diff old.json new.json", "what a change of the config changes"],
    ],
    exitStatus: [
      ["0", "create and start would do this"],
      ["1", "they would fail behind the last operation"],
    ],
  },
  features: {
    description: ["Prints what runts implements, in the form of the specification's features.md."],
    examples: [["runts features", "namespaces, mount options, capabilities, cgroup and seccomp support"]],
  },
  kill: {
    description: [
      "Sends a signal, SIGTERM if none is given, to the container's init: by a descriptor, so that no other process with the same id gets it.",
      "SIGKILL goes to all processes of the container, also to those that outlive init in a shared pid namespace.",
    ],
    examples: [
      ["runts kill web", "ask it to end"],
      ["runts kill web KILL", "end it; also SIGKILL or 9"],
    ],
  },
  list: {
    description: ["Lists the containers of the state directory."],
    examples: [
      ["runts list", "a table"],
      ["runts list --format json", "their states"],
      ["runts list --quiet", "ids alone"],
    ],
  },
  mounts: {
    description: [
      "`add` mounts what a file lists in a container that runs: a JSON list of mounts as in config.json, with all their options and id " +
        'mappings, such as `[{"destination": "/data", "source": "/srv/data", "options": ["rbind", "ro"]}]`. Only a new procfs is refused. All of them are made, or none. Sources of bind mounts are the host\'s. `remove` takes the ' +
        "uppermost mount at each destination of such a file away, the last first; programs that use it may go on. `list` prints what is mounted in " +
        "the container.",
    ],
    examples: [
      ["runts mounts add web /srv/data.json", "mount what the file lists"],
      ["runts mounts remove web /srv/data.json", "and away again"],
      ["runts mounts list --format json web", "for programs"],
    ],
  },
  pause: {
    description: ["Suspends all processes of a container by the freezer of its cgroup."],
    examples: [["runts pause web", "until `runts resume web`"]],
  },
  ps: {
    description: ["Shows the processes of a container's cgroup, as ps(1) does with the options given."],
    examples: [
      ["runts ps web", "ps -ef, of them alone"],
      ["runts ps --format json web", "their ids"],
      ["runts ps web -o pid,rss,args", "with other columns"],
    ],
  },
  restore: {
    description: [
      "Makes a container anew from the image files of a checkpoint, by criu(8): its processes go on where they were. The bundle has to be the one " +
        "that it had. Pipes, files and terminals of the caller take the places of those that the standard streams were.",
      "An error has the causes that criu's log gives, and where that log is: restore.log in the work path, or the image path.",
    ],
    examples: [
      ["runts restore --bundle /srv/web --image-path /srv/saved --detach web", "in the background"],
      [
        "runts restore --image-path /srv/saved --tcp-established web",
        "the bundle in the current directory, with its connections",
      ],
    ],
    exitStatus: [
      ["N", "that of the container's process"],
      ["1", "there was no container"],
    ],
  },
  resume: {
    description: ["Lets the processes of a paused container go on."],
    examples: [["runts resume web", "after `runts pause web`"]],
  },
  run: {
    description: [
      "Creates and starts a container and waits for its end: passes signals and the terminal on, and deletes the container. With --detach it " +
        "returns when the process executes.",
    ],
    examples: [
      ["runts run box", "the bundle in the current directory"],
      ["runts run --seccomp-trace box", "and report what its seccomp profile denied, with a rule to add"],
      ["runts run --bundle /srv/web --detach --pid-file /run/web.pid web", "in the background"],
    ],
    exitStatus: [
      ["N", "that of the container's process"],
      ["1", "there was no container"],
    ],
  },
  seccomp: {
    description: [
      "Says what the filter of a container, or of a bundle, answers to a system call, and which rule of the profile decides. The compiled filter is asked; " +
        "every rule that names the call is shown with the reason why it does not match. The call is a name, or its number, as the kernel's log has it. " +
        "Arguments that are not given are 0; they are numbers as C writes them.",
      "`runts run --seccomp-trace` finds out which calls a program makes that its profile denies.",
    ],
    examples: [
      ["runts seccomp explain web mount", "of a container"],
      [
        "runts seccomp explain --bundle /srv/web clone 0x10000000",
        "of a bundle, with the call's first argument",
      ],
    ],
  },
  spec: {
    description: ["Writes a config.json to start from: a shell with few rights, in all namespaces."],
    examples: [
      ["runts spec", "into the current directory"],
      ["runts spec --rootless --bundle /srv/web", "for a user without root privileges"],
    ],
  },
  start: {
    description: [
      "Lets the init of a created container execute the container's process. The startContainer hooks run before, the poststart hooks after. " +
        "If one of them fails, the container is destroyed and its poststop hooks run.",
    ],
    examples: [["runts start web", "after `runts create web`"]],
  },
  state: {
    description: ["Prints the state of a container: the specification's runtime.md, and what runc adds."],
    examples: [["runts state web", "as JSON: status, process id, bundle, annotations"]],
  },
  update: {
    description: [
      "Changes the limits of a container that has not stopped. What is not given stays. Errors name the option or, with --resources, the property.",
    ],
    examples: [
      ["runts update --memory 512M --pids-limit 100 web", "by options"],
      ["runts update --resources limits.json web", "by linux.resources as JSON; - is standard input"],
    ],
  },
  completion: {
    description: ["Prints a script that completes commands, options, container ids and signals in a shell."],
    examples: [
      ["runts completion bash > /etc/bash_completion.d/runts", "for bash; or . <(runts completion bash)"],
      ["runts completion zsh > /usr/local/share/zsh/site-functions/_runts", "for zsh"],
      ["runts completion fish > /etc/fish/completions/runts.fish", "for fish"],
    ],
  },
  man: {
    description: ["Prints the manual page of a command, or of the whole program, for man(1)."],
    examples: [
      ["runts man | man -l -", "read it"],
      ["runts man exec > /usr/local/share/man/man8/runts-exec.8", "install it"],
    ],
  },
  validate: {
    description: [
      "Finds all that is wrong with a bundle at once, each finding with its line, the JSON pointer, what was expected and what to do. " +
        "Errors keep a container from being created or started. Warnings are of what is legal, and surely not what was meant: misspelt " +
        "properties, mounts that hide each other, capabilities that the user can't have, filters that deny what every program needs.",
      "With `--host` this host counts as well, and the rights of this user: controllers, file systems, limits, hooks, namespaces to join. " +
        "Nothing is made or changed.",
    ],
    examples: [
      ["runts validate --bundle /srv/web", "the bundle alone, in CI"],
      ["runts validate --strict --bundle /srv/web", "where warnings are not acceptable"],
      ["runts validate --host --bundle /srv/web", "before it is created here"],
      ["runts validate --json --config config.json", "for programs"],
    ],
    exitStatus: [
      ["0", "no errors; with --strict, no warnings either"],
      ["1", "there are some"],
    ],
  },
  warm: {
    description: [
      "Writes an image of the program in memory, as it is once it has loaded its code and is ready to work, beside the executable: " +
        "`runts-warm`. From then on each command starts from the image, which takes a fraction of the time. Nothing that a command does " +
        "changes by it.",
      "An image is for one machine and one boot: whatever does not match any more, such as a library that was updated, makes a start cold, " +
        "as without an image. `RUNTS_COLD=1` in the environment does so, too. Whoever may write to the directory of the executable can make " +
        "an image, without being root. Only x86-64 has warm starts.",
      "A copy of the installation needs an image of its own; one that is moved keeps it. Its file system has to have O_TMPFILE (open(2)), and " +
        "ptrace(2) of a child has to be allowed: `kernel.yama.ptrace_scope` may be 2 for root, and 1 for others.",
    ],
    examples: [
      ["runts warm", "at boot, and after an update"],
      ["runts warm --check", "whether this command has started from the image, and if not, why"],
      ["runts warm --remove", "to start cold again"],
    ],
    exitStatus: [
      ["0", "the image was written, or removed; with --check, the start was warm"],
      ["1", "it could not be written, or does not work; with --check, the start was cold"],
    ],
  },
};
