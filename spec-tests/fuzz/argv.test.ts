import { mkdirSync } from "node:fs";
import { expect } from "vitest";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";
import { Random } from "./random.ts";

/** Random command lines for the built program: each succeeds or fails with a clear error. */

const COUNT = Number(process.env.FUZZ_COUNT ?? 600) / 4;
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const COMMANDS =
  "create run start state kill delete list exec ps pause resume update events features spec help version checkpoint restore init";
const OPTIONS =
  "root log log-format log-level debug rootless systemd-cgroup cgroup-manager help version bundle b console-socket pid-file no-pivot " +
  "no-new-keyring preserve-fds force f all a regex r format f quiet q user u cwd env e tty t detach d process p cap c apparmor " +
  "no-new-privs cgroup ignore-paused memory m cpu-shares cpuset-cpus pids-limit blkio-weight stats interval rootless file pidfd-socket";
const WORDS = [
  ..."x -1 0 7 1e9 0x10 9223372036854775808 true false KILL 99 json a=b =b a= 0-3,,9 1:2:3 :1 10ms -- --- - -xyz --=x --no-".split(
    " ",
  ),
  "",
  " ",
  "a\nb",
  "\u001b[31m",
  "é",
  "__proto__",
  "--__proto__=1",
  "--constructor",
  "--help.x",
  "y".repeat(10_000),
  "/dev/null/x",
  "../..",
];

function commandLine(random: Random): string[] {
  const options = () =>
    Array.from({ length: random.below(4) }, () => {
      const name = random.pick(OPTIONS.split(" "));
      const form = `${random.pick(name.length === 1 ? ["-"] : ["--", "--", "-", "--no-"])}${name}`;
      const value = random.pick(WORDS);
      return random.pick([[form], [form, value], [`${form}=${value}`]]);
    }).flat();
  const command = random.next() < 0.9 ? [random.pick(COMMANDS.split(" "))] : [];
  const words = Array.from({ length: random.below(4) }, () => random.pick(WORDS));
  return [...options(), ...command, ...options(), ...words];
}

if (IS_RUNTS) {
  spec(
    `${COUNT} random command lines, seed ${SEED}: each succeeds or fails with a clear error, nothing left`,
    "promise: no input makes it crash",
    async (sandbox) => {
      const random = new Random(SEED);
      // A folder without a bundle, so that valid command lines fail, too.
      const cwd = sandbox.path("empty");
      mkdirSync(cwd);
      for (let i = 0; i < COUNT; i++) {
        const args = commandLine(random);
        const { code, stderr } = await sandbox.invoke(args, { cwd });
        const shown = `${JSON.stringify(args).slice(0, 2000)}: ${code}: ${stderr.slice(0, 2000)}`;
        expect([0, 1, 3, 255].includes(code), shown).toBe(true);
        expect(stderr, shown).not.toMatch(/internal error|undefined|\[object |Bun v|panic/);
        // Only an internal error prints a stack.
        expect(stderr, shown).not.toMatch(/\n\s+at /);
        if (code !== 0) expect(stderr, shown).not.toBe("");
      }
    },
    // Each takes a twentieth of a second; a busy machine takes twenty times as long.
    { timeoutMs: 30_000 + COUNT * 1000 },
  );
}
