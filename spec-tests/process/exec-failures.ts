import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { Config, Process } from "../harness/config.ts";
import { elfFile, MACHINES } from "../harness/helpers/elf.ts";

/** Programs that can't be executed, and the error for each. */

const OTHER = process.arch === "arm64" ? "x64" : "arm64";
const OWN = process.arch === "arm64" ? "arm64" : "x64";
const OTHER_NAME = { x64: "x86-64", arm64: "arm64" }[OTHER];

export interface Failure {
  readonly situation: string;
  readonly process: Partial<Process> & { args: string[] };
  readonly prepare: (rootfs: string) => void;
  readonly mutate?: (config: Config) => void;
  /** The words by which engines recognise the failure. */
  readonly words: string;
  readonly hint: string;
  /** The exit code that podman derives from the words: libpod/oci_util.go. 125 stands for anything else. */
  readonly podman: 125 | 126 | 127;
  /** Whether `create` fails, as it looks the program up before init waits for `start`. */
  readonly atCreate?: true;
}

const ALICE = { user: { uid: 1000, gid: 1000, additionalGids: [5] }, capabilities: {} };

export function file(rootfs: string, path: string, content: string | Buffer, mode = 0o755): void {
  rmSync(`${rootfs}${path}`, { force: true });
  writeFileSync(`${rootfs}${path}`, content);
  chmodSync(`${rootfs}${path}`, mode);
}

const ELF = elfFile({ machine: MACHINES[OWN], interpreter: "/lib/ld-none.so.1" });
const MISSING = "no such file or directory";
const DENIED = "permission denied";
const FORMAT = "exec format error";

export const FAILURES: readonly Failure[] = [
  {
    situation: "in no folder of PATH",
    process: { args: ["nope"], env: ["PATH=/usr/local/bin:/bin"] },
    prepare: () => undefined,
    words: 'exec: "nope": executable file not found in $PATH',
    hint: '(PATH is "/usr/local/bin:/bin")',
    podman: 127,
    atCreate: true,
  },
  {
    situation: "in PATH, but not executable",
    process: { args: ["nope"], env: ["PATH=/missing:/tmp:/usr/local/bin"] },
    prepare: (rootfs) => {
      file(rootfs, "/tmp/nope", "#!/bin/sh\n", 0o640);
      mkdirSync(`${rootfs}/usr/local/bin/nope`);
    },
    words: 'exec: "nope": executable file not found in $PATH',
    hint: '; "/tmp/nope" has the mode 0640, without x for anybody; "/usr/local/bin/nope" names a directory)',
    podman: 127,
    atCreate: true,
  },
  {
    situation: "without PATH",
    process: { args: ["nope"], env: ["TERM=xterm"] },
    prepare: () => undefined,
    words: 'exec: "nope": executable file not found in $PATH',
    hint: '(env has no PATH, so it is "/bin:/usr/bin")',
    podman: 127,
    atCreate: true,
  },
  {
    situation: "in no folder of a PATH with engines' words",
    process: { args: ["nope"], env: ["PATH=/Permission Denied:/operation not permitted"] },
    prepare: () => undefined,
    words: 'exec: "nope": executable file not found in $PATH',
    hint: "",
    podman: 127,
    atCreate: true,
  },
  {
    situation: "a path below a missing folder",
    process: { args: ["/opt/app/bin/run"] },
    prepare: () => undefined,
    words: `exec: "/opt/app/bin/run": stat /opt/app/bin/run: ${MISSING}`,
    hint: '(it is missing: the container has no "/opt")',
    podman: 127,
    atCreate: true,
  },
  {
    situation: "a symlink without target",
    process: { args: ["/tmp/link"] },
    prepare: (rootfs) => symlinkSync("../home/./alice/gone", `${rootfs}/tmp/link`),
    words: `exec: "/tmp/link": stat /tmp/link: ${MISSING}`,
    hint: '(it is missing: the container has no "/tmp/../home/alice/gone")',
    podman: 127,
    atCreate: true,
  },
  {
    situation: "a loop of symlinks",
    process: { args: ["/tmp/one"] },
    prepare: (rootfs) => {
      symlinkSync("two", `${rootfs}/tmp/one`);
      symlinkSync("/tmp/one", `${rootfs}/tmp/two`);
    },
    words: 'exec: "/tmp/one": stat /tmp/one: ',
    hint: "",
    podman: 127,
    atCreate: true,
  },
  {
    situation: "a file without x",
    process: { args: ["/tmp/plain"] },
    prepare: (rootfs) => file(rootfs, "/tmp/plain", "#!/bin/sh\n", 0o644),
    words: `exec: "/tmp/plain": ${DENIED}`,
    hint: "(it has the mode 0644, without x for anybody)",
    podman: 126,
    atCreate: true,
  },
  {
    situation: "executable only by root",
    process: { args: ["/tmp/private"], ...ALICE },
    prepare: (rootfs) => file(rootfs, "/tmp/private", "#!/bin/sh\n", 0o700),
    words: `exec: "/tmp/private": ${DENIED}`,
    hint: "(it has the mode 0700 and the owner 0:0, so that 1000:1000 with the groups 5 may not execute it)",
    podman: 126,
    atCreate: true,
  },
  {
    situation: "in a folder that only root may search",
    process: { args: ["/home/link/bin/tool"], ...ALICE },
    prepare: (rootfs) => {
      mkdirSync(`${rootfs}/root/bin`, { recursive: true });
      file(rootfs, "/root/bin/tool", "#!/bin/sh\n");
      chmodSync(`${rootfs}/root`, 0o700);
      symlinkSync("/root", `${rootfs}/home/link`);
    },
    words: `exec: "/home/link/bin/tool": stat /home/link/bin/tool: ${DENIED}`,
    hint: '(it lies below "/root", which has the mode 0700 and the owner 0:0, so that 1000:1000 with the groups 5 may not search it)',
    podman: 126,
    atCreate: true,
  },
  {
    situation: "a folder",
    process: { args: ["/etc"] },
    prepare: () => undefined,
    words: 'exec: "/etc": is a directory',
    hint: "(it names a directory)",
    podman: 125,
    atCreate: true,
  },
  {
    situation: "below a file",
    process: { args: ["/etc/passwd/tool"] },
    prepare: () => undefined,
    words: 'exec: "/etc/passwd/tool": stat /etc/passwd/tool: not a directory',
    hint: '(it lies below "/etc/passwd", which is no directory)',
    podman: 125,
    atCreate: true,
  },
  {
    situation: "a FIFO",
    process: { args: ["/tmp/fifo"] },
    prepare: (rootfs) => void execFileSync("mkfifo", ["-m", "755", `${rootfs}/tmp/fifo`]),
    words: DENIED,
    hint: "(it is not a regular file)",
    podman: 126,
  },
  {
    situation: "on a mount with noexec",
    process: { args: ["/mnt/tool"] },
    prepare: (rootfs) => file(rootfs, "/mnt/tool", "#!/bin/sh\n"),
    mutate: ({ mounts }) =>
      void mounts.push({
        destination: "/mnt",
        type: "tmpfs",
        source: "tmpfs",
        options: ["noexec", "tmpcopyup"],
      }),
    words: `exec: "/mnt/tool": ${DENIED}`,
    hint: '(it lies on "/mnt", which is mounted with noexec)',
    podman: 126,
    atCreate: true,
  },
  {
    situation: "whose ELF interpreter is missing",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) => file(rootfs, "/tmp/tool", ELF),
    words: MISSING,
    hint: '(it is an ELF executable that needs the interpreter "/lib/ld-none.so.1", which is missing: the container has no "/lib")',
    podman: 127,
  },
  {
    situation: "whose ELF interpreter is missing, with engines' words in its path",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) =>
      file(
        rootfs,
        "/tmp/tool",
        elfFile({ machine: MACHINES[OWN], interpreter: "/lib/permission denied/ld.so" }),
      ),
    words: MISSING,
    hint: "",
    podman: 127,
  },
  {
    situation: "whose ELF interpreter is not executable",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) => {
      mkdirSync(`${rootfs}/lib`);
      file(rootfs, "/lib/ld-none.so.1", ELF, 0o444);
      file(rootfs, "/tmp/tool", ELF);
    },
    words: DENIED,
    hint: 'needs the interpreter "/lib/ld-none.so.1", which has the mode 0444, without x for anybody)',
    podman: 126,
  },
  {
    situation: "whose ELF interpreter is for another architecture",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) => {
      mkdirSync(`${rootfs}/lib`);
      file(rootfs, "/lib/ld-none.so.1", elfFile({ machine: MACHINES[OTHER] }));
      file(rootfs, "/tmp/tool", ELF);
    },
    words: "",
    hint: `needs the interpreter "/lib/ld-none.so.1", which is an ELF executable for ${OTHER_NAME}, and this `,
    podman: 125,
  },
  {
    situation: "for another architecture",
    process: { args: ["tool"], env: ["PATH=/tmp"] },
    prepare: (rootfs) => file(rootfs, "/tmp/tool", elfFile({ machine: MACHINES[OTHER] })),
    words: FORMAT,
    hint: `(it is an ELF executable for ${OTHER_NAME}, and this `,
    podman: 125,
  },
  {
    situation: "an object file",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) => file(rootfs, "/tmp/tool", elfFile({ machine: MACHINES[OWN], type: 1 })),
    words: FORMAT,
    hint: "(it is an ELF file, but no executable: an object file or a core dump)",
    podman: 125,
  },
  {
    situation: "a truncated ELF executable",
    process: { args: ["/tmp/tool"] },
    prepare: (rootfs) =>
      file(
        rootfs,
        "/tmp/tool",
        elfFile({ machine: MACHINES[OWN], interpreter: "/lib/ld.so" }).subarray(0, 100),
      ),
    words: "",
    hint: "(it is an ELF executable that is cut short)",
    podman: 125,
  },
  {
    situation: "a script whose interpreter is missing",
    process: { args: ["/tmp/script"] },
    prepare: (rootfs) => file(rootfs, "/tmp/script", "#! /usr/bin/env bash\n"),
    words: MISSING,
    hint: '(it is a script for "/usr/bin/env", which is missing: the container has no "/usr/bin")',
    podman: 127,
  },
  {
    situation: "a script with CRLF",
    process: { args: ["/tmp/script"] },
    prepare: (rootfs) => file(rootfs, "/tmp/script", "#!/bin/sh\r\necho\r\n"),
    words: MISSING,
    hint: '(it is a script for "/bin/sh\\r" (its lines end in CRLF: use LF), which is missing: the container has no "/bin/sh\\r")',
    podman: 127,
  },
  {
    situation: "a script whose interpreter is not executable",
    process: { args: ["/tmp/script"], ...ALICE },
    prepare: (rootfs) => {
      file(rootfs, "/tmp/interpreter", "#!/bin/sh\n", 0o750);
      file(rootfs, "/tmp/script", "#!/tmp/interpreter\n");
    },
    words: DENIED,
    hint: '(it is a script for "/tmp/interpreter", which has the mode 0750 and the owner 0:0, so that 1000:1000',
    podman: 126,
  },
  {
    situation: "a script whose interpreter has names that are not UTF-8, and is not executable",
    process: { args: ["/tmp/script"], ...ALICE },
    prepare: (rootfs) => {
      const bytes = (path: string) => Buffer.from(path, "latin1");
      writeFileSync(bytes(`${rootfs}/tmp/j\xf6rg`), "#!/bin/sh\n", { mode: 0o750 });
      symlinkSync(bytes("j\xf6rg"), bytes(`${rootfs}/tmp/link\xff`));
      file(rootfs, "/tmp/script", bytes("#!/tmp/link\xff\n"));
    },
    words: DENIED,
    hint: '(it is a script for "/tmp/link\ufffd", which has the mode 0750 and the owner 0:0, so that 1000:1000',
    podman: 126,
  },
  {
    situation: "a script for a script whose interpreter is missing",
    process: { args: ["./script"], cwd: "/tmp" },
    prepare: (rootfs) => {
      file(rootfs, "/tmp/interpreter", "#!/bin/gone\n");
      file(rootfs, "/tmp/script", "#!interpreter\n");
    },
    words: MISSING,
    hint: '(it is a script for "interpreter", which is a script for "/bin/gone", which is missing: the container has no "/bin/gone")',
    podman: 127,
  },
  {
    situation: "a script that is its own interpreter",
    process: { args: ["/tmp/script"] },
    prepare: (rootfs) => file(rootfs, "/tmp/script", "#!/tmp/script\n"),
    words: "",
    hint: "which is a script, and the chain of interpreters is too long)",
    podman: 125,
  },
  {
    situation: "a script that names no interpreter",
    process: { args: ["/tmp/script"] },
    prepare: (rootfs) => file(rootfs, "/tmp/script", "#!\necho\n"),
    words: FORMAT,
    hint: '(it is a script without an interpreter after "#!")',
    podman: 125,
  },
  {
    situation: "an empty file",
    process: { args: ["/tmp/empty"] },
    prepare: (rootfs) => file(rootfs, "/tmp/empty", ""),
    words: FORMAT,
    hint: "(it is empty)",
    podman: 125,
  },
  {
    situation: "a file of no known format",
    process: { args: ["/tmp/script"] },
    prepare: (rootfs) => file(rootfs, "/tmp/script", "echo no first line\n"),
    words: FORMAT,
    hint: '(it begins with "echo no first li", so it is neither an ELF executable of this machine nor a script with "#!")',
    podman: 125,
  },
];
