import { rmSync, writeFileSync } from "node:fs";
import { type Container, succeed } from "../container.ts";
import { openConsole } from "../helpers/console.ts";
import { invoke, type Result } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

/** Exit code of the program, so that nothing else is taken for its end. */
export const EXIT_CODE = 7;

/**
 * Prints all that a process can see of what it was given, most lines with the name of their part in front. The shell looks at
 * itself by its own commands where it can, since it blocks signals and opens descriptors for others.
 */
export const SHOW_SURROUNDINGS = `
show() { while IFS= read -r line || [ -n "$line" ]; do echo "$1 $line"; done < /proc/$$/$1; }
for file in status limits mountinfo cgroup oom_score_adj uid_map gid_map setgroups personality coredump_filter \
  timerslack_ns; do show $file; done 2>/dev/null
ls -l /proc/$$/fd
grep -s ^flags /proc/$$/fdinfo/*
readlink /proc/$$/cwd
readlink /proc/$$/root
tr '\\0' '\\n' < /proc/$$/environ | sed 's/^/environ /'
set -- $(sed 's/.*) //' /proc/$$/stat)
leads() { if [ "$2" = $$ ]; then echo "$1 itself"; else echo "$1 another"; fi; }
leads group $3; leads session $4; leads foreground $6
echo "terminal $([ $5 = 0 ] || echo yes), priority \${16}, nice \${17}, rt \${38}, policy \${39}"
grep " keyring " /proc/keys 2>/dev/null | sed 's/^[0-9a-f]* //'
for entry in / /dev /dev/* /dev/pts/ptmx /proc/sys /proc/kcore /sys/firmware /tmp /run /mnt /var/tmp /var/new/deep; do
  stat -c 'stat %n %F %a %u:%g %t:%T' $entry
done 2>/dev/null
[ -t 0 ] && stty -a 2>/dev/null
echo "hostname $(hostname)"
sed 's/^/net /;s/:.*//' /proc/net/dev
exit ${EXIT_CODE}
`;

export interface Surroundings {
  readonly code: number;
  readonly lines: readonly string[];
  readonly stderr: string;
}

export interface LookOptions {
  readonly flags?: readonly string[];
  readonly wrapper?: readonly string[];
  readonly terminal?: boolean;
  /** Variables for the runtime, beside those that all commands get. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a container under a runtime and returns what its program sees. */
export async function surroundingsUnder(
  runtime: string,
  sandbox: Sandbox,
  container: Container,
  { flags = [], wrapper = [], terminal = false, env = {} }: LookOptions,
): Promise<Surroundings> {
  const root = sandbox.path(`root-of-${runtime.replaceAll("/", "_")}`);
  // Not /dev/null: in a user namespace the peers give the host's to the container's user.
  const stdin = sandbox.path("stdin");
  writeFileSync(stdin, "");
  const run = (...args: string[]): Promise<Result> =>
    invoke(["--root", root, ...args], {
      directory: sandbox.directory,
      env: { SPEC_TEST_TAG: sandbox.tag, TMPDIR: sandbox.temporary, ...env },
      runtime,
      wrapper,
      stdin,
    });
  const bundle = ["--bundle", container.bundle, ...flags];
  if (!terminal) {
    const { code, stdout, stderr } = await run("run", ...bundle, container.id);
    return { code, stderr, lines: normalised(stdout, sandbox, container) };
  }
  const console = await openConsole(sandbox);
  const created = await run("create", ...bundle, "--console-socket", console.socket, container.id);
  rmSync(console.socket);
  if (created.code !== 0) return { code: created.code, stderr: created.stderr, lines: [] };
  succeed("start", await run("start", container.id));
  const output = await console.output();
  succeed("delete", await run("delete", "--force", container.id));
  return { code: EXIT_CODE, stderr: "", lines: normalised(output, sandbox, container) };
}

/**
 * Counters, sizes and what else differs between two runs of one runtime. FDSize is a legacy: the descriptor table stays as large
 * as that of the highest descriptor which an ancestor had open before its execve.
 */
const VARYING =
  /^status (FDSize|Vm|Rss|Hugetlb|HugetlbPages|voluntary|nonvoluntary|SigQ|Ngid|CoreDumping|Threads|THP|untag|x86_)/;

/** Lines of the output of SHOW_SURROUNDINGS that are the same whenever the surroundings are. */
export function normalised(output: string, sandbox: Sandbox, container: Container): string[] {
  const lines = output
    .split(/\r?\n/)
    .map((line) => line.replaceAll(container.bundle, "BUNDLE").replaceAll(sandbox.directory, "DIR"))
    .map((line) =>
      line
        .replaceAll(container.id, "ID")
        .replaceAll(/\bcall-\d+/g, "call-N")
        .trimEnd(),
    )
    .filter((line) => line !== "" && !VARYING.test(line))
    // The same user also sees the keyrings of other containers.
    .filter((line) => !line.includes(" keyring ") || /\bID\b|_ses\.ID/.test(line));
  const counted = new Map<string, number>();
  return lines.map(normalise).map((line) => {
    // The same line twice is two differences if the other has it once.
    const before = counted.get(line) ?? 0;
    counted.set(line, before + 1);
    return before === 0 ? line : `${line} #${before + 1}`;
  });
}

/** Pids, ids of mounts and numbers of what has no name are whatever comes next on the host. */
function normalise(line: string): string {
  if (/^status (Pid|Tgid|PPid|NS\w+):/.test(line)) return line.replaceAll(/\d{2,}/g, "N");
  if (line.startsWith("mountinfo ")) return normaliseMount(line);
  const descriptor = /^(l[rwx-]+) .* (\d+ -> .*)$/.exec(line);
  if (descriptor !== null) return `fd ${descriptor[1]} ${descriptor[2]}`.replaceAll(/\[\d+\]/g, "[N]");
  const info = /^\/proc\/\d+\/(fdinfo\/\d+):flags:\s*(\d+)$/.exec(line);
  if (info !== null) return `${info[1]} flags ${info[2]}`;
  if (line.includes(" keyring ")) return line.replaceAll(/\b\d+\b/g, "N").replaceAll(/ +/g, " ");
  return line.replaceAll("\t", " ");
}

function normaliseMount(line: string): string {
  const fields = line.split(" ");
  const dash = fields.indexOf("-");
  const optional = fields.slice(7, dash).map((field) => field.replace(/:\d+/, ""));
  return ["mountinfo", ...fields.slice(4, 7), ...optional, ...fields.slice(dash)].join(" ");
}

/** Lines that one of two has and the other has not: those of the first with +, those of the second with -. */
export function differences(own: Surroundings, other: Surroundings): string[] {
  return [
    ...own.lines.filter((line) => !other.lines.includes(line)).map((line) => `+${line}`),
    ...other.lines.filter((line) => !own.lines.includes(line)).map((line) => `-${line}`),
  ];
}
