import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as capability from "./capability.ts";
import { errnoMessage, errnoName } from "./errno.ts";
import * as fcntl from "./fcntl.ts";
import * as inotify from "./inotify.ts";
import * as ioctl from "./ioctl.ts";
import * as keyctl from "./keyctl.ts";
import * as landlock from "./landlock.ts";
import * as layouts from "./layouts.ts";
import * as limits from "./limits.ts";
import * as mman from "./mman.ts";
import * as mount from "./mount.ts";
import * as netlink from "./netlink.ts";
import * as personality from "./personality.ts";
import * as prctl from "./prctl.ts";
import * as resource from "./resource.ts";
import * as sched from "./sched.ts";
import * as seccomp from "./seccomp.ts";
import * as signal from "./signal.ts";
import * as socket from "./socket.ts";
import { syscallNumbers } from "./syscall-numbers.generated.ts";

type Values = ReadonlyMap<string, bigint>;

/** Compiles and runs a program; returns its output, or the compiler's messages if it is rejected. */
function runProbe(source: string): { readonly output: string } | { readonly messages: string } {
  const directory = mkdtempSync(join(tmpdir(), "runts-abi-"));
  try {
    const [from, to] = [join(directory, "probe.c"), join(directory, "probe")];
    writeFileSync(from, source);
    const env = { ...process.env, LC_ALL: "C" };
    const flags = ["-w", "-fmax-errors=0", "-D_GNU_SOURCE", "-o", to, from];
    const compiled = spawnSync("gcc", flags, { encoding: "utf8", env, timeout: 60_000 });
    if (compiled.status !== 0) return { messages: compiled.stderr ?? "" };
    const { stdout } = spawnSync(to, { encoding: "utf8", timeout: 60_000 });
    return { output: stdout };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const skipReason =
  "output" in runProbe("#include <stdio.h>\n#include <linux/fs.h>\nint main(void) { return 0; }")
    ? false
    : "needs gcc, libc6-dev and linux-libc-dev";

/** Values of the names that the headers define, as macros or as enumerators, which only the compiler knows. */
function probe(headers: readonly string[], names: readonly string[]): Values {
  const includes = ["stdio.h", ...headers].map((header) => `#include <${header}>\n`).join("");
  const lines = names.map((name) => `printf("${name}=%llu\\n", (unsigned long long)(${name}));\n`);
  const run = runProbe(`${includes}int main(void) {\n${lines.join("")}return 0;\n}\n`);
  if ("output" in run) {
    const rows = run.output
      .trim()
      .split("\n")
      .filter((line) => line !== "");
    return new Map(rows.map((line) => [line.split("=")[0] ?? "", BigInt(line.split("=")[1] ?? "")]));
  }
  const unknown = new Set([...run.messages.matchAll(/'(\w+)' undeclared/g)].map((match) => match[1]));
  const known = names.filter((name) => !unknown.has(name));
  if (known.length === names.length) throw new Error(`the probe does not compile: ${run.messages}`);
  return known.length === 0 ? new Map() : probe(headers, known);
}

/** The exported numbers of a module. */
function constantsOf(module: Readonly<Record<string, unknown>>): Values {
  const constants = new Map<string, bigint>();
  for (const [name, value] of Object.entries(module)) {
    if (typeof value === "number" || typeof value === "bigint")
      constants.set(name, BigInt.asUintN(64, BigInt(value)));
  }
  return constants;
}

function numbered(names: readonly string[]): Values {
  return new Map(names.map((name, index) => [name, BigInt(index)]));
}

/** Groups of headers that can't be included together; the first group with a name counts. */
const modules: readonly (readonly [name: string, values: Values, headers: readonly (readonly string[])[]])[] =
  [
    [
      "fcntl",
      constantsOf(fcntl),
      [
        [
          "linux/fcntl.h",
          "linux/stat.h",
          "linux/openat2.h",
          "linux/memfd.h",
          "linux/close_range.h",
          "linux/fs.h",
        ],
        ["fcntl.h", "sys/file.h"],
      ],
    ],
    ["mount", constantsOf(mount), [["linux/fcntl.h", "linux/mount.h"], ["sys/mount.h"]]],
    ["sched", constantsOf(sched), [["linux/sched.h", "linux/ioprio.h", "linux/mempolicy.h"], ["sched.h"]]],
    ["personality", constantsOf(personality), [["linux/personality.h"]]],
    ["prctl", constantsOf(prctl), [["linux/prctl.h", "linux/securebits.h"]]],
    ["signal", constantsOf(signal), [["signal.h", "sys/wait.h"]]],
    ["socket", constantsOf(socket), [["sys/socket.h", "linux/sockios.h", "net/if.h"], ["asm/socket.h"]]],
    ["netlink", constantsOf(netlink), [["sys/socket.h", "linux/netlink.h", "linux/rtnetlink.h"]]],
    ["resource", constantsOf(resource), [["sys/resource.h"]]],
    ["resource names", numbered(resource.rlimitNames), [["sys/resource.h"]]],
    ["capability", constantsOf(capability), [["linux/capability.h"]]],
    ["capability names", numbered(capability.capabilityNames), [["linux/capability.h"]]],
    ["ioctl", constantsOf(ioctl), [["asm/ioctls.h", "asm/termbits.h", "linux/nsfs.h", "linux/fs.h"]]],
    ["inotify", constantsOf(inotify), [["sys/inotify.h"]]],
    ["keyctl", constantsOf(keyctl), [["linux/keyctl.h"]]],
    ["landlock", constantsOf(landlock), [["linux/landlock.h"]]],
    ["limits", constantsOf(limits), [["linux/limits.h"]]],
    ["mman", constantsOf(mman), [["sys/mman.h"]]],
    ["seccomp", constantsOf(seccomp), [["linux/ioctl.h", "linux/seccomp.h", "linux/audit.h"]]],
  ];

describe.skipIf(skipReason !== false)(
  `numbers of the headers${skipReason === false ? "" : ` (skipped: ${skipReason})`}`,
  () => {
    test.each(modules)("%s", (_, values, headerSets) => {
      const names = [...values.keys()];
      const found = new Map(headerSets.toReversed().flatMap((headers) => [...probe(headers, names)]));
      const expected = new Map([...values].filter(([name]) => found.has(name)));
      const probed = new Map([...values.keys()].flatMap((name) => entryOf(found, name)));
      expect(probed).toEqual(expected);
      // Older headers lack the newest names, and some names are in no header at all.
      const missing = names.filter((name) => !found.has(name));
      expect(missing.length, missing.join()).toBeLessThanOrEqual(names.length / 2);
    });

    test("errors, and their messages in glibc", () => {
      const numbers = Array.from({ length: 140 }, (_, number) => number).filter(
        (number) => errnoName(number) !== String(number),
      );
      const values = new Map(numbers.map((number) => [errnoName(number), BigInt(number)]));
      expect(probe(["errno.h"], [...values.keys()])).toEqual(values);
      const lines = numbers.map((number) => `puts(strerror(${number}));\n`);
      const glibc = `#include <stdio.h>\n#include <string.h>\n#ifndef __GLIBC__\n#error\n#endif\nint main(void) {`;
      const run = runProbe(`${glibc}\n${lines.join("")}return 0;\n}\n`);
      if (!("output" in run)) return;
      const said = run.output.trim().toLowerCase().split("\n");
      expect(numbers.map((number) => errnoMessage(errnoName(number)).toLowerCase())).toEqual(said);
    });
  },
);

/** For system calls the preprocessor is enough, so that a compiler for the other architecture needs no libraries. */
function preprocess(compiler: string, names: readonly string[]): Values | undefined {
  const lines = names.map((name) => `#ifdef __NR_${name}\n"${name}" = (__NR_${name})\n#endif\n`);
  const input = `#include <asm/unistd.h>\n${lines.join("")}`;
  const { status, stdout } = spawnSync(compiler, ["-E", "-P", "-"], { input, encoding: "utf8" });
  if (status !== 0) return undefined;
  const rows = stdout.matchAll(/"(\w+)" = ([()\d+ ]+)/g);
  return new Map(Array.from(rows, ([, name = "", value = ""]) => [name, sumOf(value)]));
}

/** Evaluates `(244 + 16)`, as in some headers. */
function sumOf(text: string): bigint {
  return (text.match(/\d+/g) ?? []).map(BigInt).reduce((sum, part) => sum + part, 0n);
}

function entryOf<V>(map: ReadonlyMap<string, V>, name: string): [string, V][] {
  const value = map.get(name);
  return value === undefined ? [] : [[name, value]];
}

describe.each([
  ["x64", process.arch === "arm64" ? "x86_64-linux-gnu-gcc" : "gcc"],
  ["arm64", process.arch === "arm64" ? "gcc" : "aarch64-linux-gnu-gcc"],
] as const)("system calls of %s", (arch, compiler) => {
  const names = Object.keys(syscallNumbers[arch]);
  const found = preprocess(compiler, names);
  test.skipIf(found === undefined)(
    `have the numbers of the headers${found === undefined ? ` (skipped: needs ${compiler})` : ""}`,
    () => {
      const values = new Map(Object.entries(syscallNumbers[arch]).map(([name, nr]) => [name, BigInt(nr)]));
      const known = new Map([...values].filter(([name]) => found?.has(name)));
      expect(found).toEqual(known);
      expect(known.size).toBeGreaterThan(values.size * 0.9);
    },
  );
});

/** C names of the structs whose layouts have other names, and the headers that declare them. */
const STRUCTS: Readonly<Record<string, { readonly headers: readonly string[]; readonly name?: string }>> = {
  open_how: { headers: ["linux/openat2.h"] },
  mount_attr: { headers: ["linux/mount.h"] },
  clone_args: { headers: ["linux/sched.h"] },
  statx: { headers: ["linux/stat.h"] },
  statfs: { headers: ["asm/statfs.h"] },
  iovec: { headers: ["sys/uio.h"] },
  msghdr: { headers: ["sys/socket.h"] },
  cmsghdr: { headers: ["sys/socket.h"] },
  seccomp_notif: { headers: ["linux/seccomp.h"] },
  seccomp_notif_resp: { headers: ["linux/seccomp.h"] },
  sock_fprog: { headers: ["linux/filter.h"] },
  landlock_ruleset_attr: { headers: ["linux/landlock.h"] },
  landlock_path_beneath_attr: { headers: ["linux/landlock.h"] },
  landlock_net_port_attr: { headers: ["linux/landlock.h"] },
  ifreq: { headers: ["sys/socket.h", "linux/if.h"] },
  kernel_sigaction: { headers: ["asm/signal.h"], name: "sigaction" },
  sched_attr: { headers: ["linux/sched/types.h"] },
  termios: { headers: ["asm/termbits.h"] },
  dirent64: { headers: ["dirent.h"] },
  nlmsghdr: { headers: ["sys/socket.h", "linux/netlink.h"] },
  nlmsgerr: { headers: ["sys/socket.h", "linux/netlink.h"] },
  sockaddr_nl: { headers: ["sys/socket.h", "linux/netlink.h"] },
  ifinfomsg: { headers: ["sys/socket.h", "linux/rtnetlink.h"] },
  ifaddrmsg: { headers: ["sys/socket.h", "linux/rtnetlink.h"] },
  rtattr: { headers: ["sys/socket.h", "linux/rtnetlink.h"] },
  utsname: { headers: ["sys/utsname.h"] },
  siginfo: { headers: ["asm/siginfo.h"] },
  signalfd_siginfo: { headers: ["linux/signalfd.h"] },
};

describe.skipIf(skipReason)(`struct layouts${skipReason ? ` (${skipReason})` : ""}`, () => {
  test.each(Object.entries(layouts))("%s", (layout, fields) => {
    const { headers, name = layout } = STRUCTS[layout] ?? { headers: [] };
    const expressions = Object.keys(fields).map((field) =>
      field === "size" ? `sizeof(struct ${name})` : `__builtin_offsetof(struct ${name}, ${field})`,
    );
    const includes = ["stdio.h", ...headers].map((header) => `#include <${header}>\n`).join("");
    const prints = expressions.map((expression) => `printf("%zu\\n", ${expression});`).join("\n");
    const run = runProbe(`${includes}int main(void) {\n${prints}\nreturn 0;\n}\n`);
    expect(run).toEqual({
      output: Object.values(fields)
        .map((value) => `${value}\n`)
        .join(""),
    });
  });
});
