import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { COLD, HAS_WARM_START, Installation, WARM, withoutCalls } from "../harness/helpers/installation.ts";
import { USER } from "../harness/host/user.ts";
import type { InvokeOptions, Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: warm start";

type Wrapper = (sandbox: Sandbox) => readonly string[];

/** A cause of a cold start, and the reason that `warm --check` gives. */
interface Case {
  readonly situation: string;
  readonly reason: RegExp;
  readonly spoil?: (installation: Installation) => void;
  /** Whether the image has to be written again afterwards. */
  readonly outlivesImage?: boolean;
  readonly wrapper?: Wrapper;
  readonly env?: Readonly<Record<string, string>>;
}

const REFUSED = /^cold: the image fits, but what a warm start does was refused: /;
const CHANGED = /^cold: \S+\/runts-warm has been changed since it was written$/;
const DAMAGED = /^cold: \S+\/runts-warm is damaged, or of another version$/;
const NO_FILE = /^cold: \S+\/runts-warm is not a regular file$/;
const OTHERS = /^cold: others may write \S+\/runts-warm$/;

const asUser = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
const asNamespaceRoot = ["unshare", "--user", "--map-root-user", "--"];

/** Runs a script in a shell, then the command in its place. */
const after = (script: string) => () => ["bash", "-c", `${script}; exec "$@"`, "bash"];

const BIND = `file=$1 copy=$2; shift 2; cat "$file" > "$copy"; eval "$CHANGE"; mount --bind "$copy" "$file"; exec "$@"`;

/** Runs the command with a changed copy mounted over a file of the host. */
const bound =
  (file: string, change = ":"): Wrapper =>
  (sandbox) => {
    const own = ["env", `CHANGE=${change}`, "unshare", "--mount", "--propagation", "private"];
    return [...own, "sh", "-c", BIND, "sh", file, sandbox.path("copy")];
  };

/** Flips one bit of the image, and keeps its size and times. A negative `at` counts from the end of the head. */
function flip(image: string, at: number): void {
  const { atimeMs, mtimeMs } = statSync(image);
  const file = openSync(image, "r+");
  const bytes = Buffer.alloc(8);
  readSync(file, bytes, 0, 8, 8);
  const place = at < 0 ? Number(bytes.readBigUInt64LE()) + at : at;
  readSync(file, bytes, 0, 1, place);
  writeSync(file, Buffer.from([(bytes[0] ?? 0) ^ 0x10]), 0, 1, place);
  closeSync(file);
  utimesSync(image, atimeMs / 1000, mtimeMs / 1000);
}

/** Offsets in the head of an image, in bytes. */
const PLACES = {
  "the magic number": 0,
  "the number of the format": 6,
  "the size of the head": 8,
  "the checksum": 16,
  "its own size": 24,
  "the boot's id": 50,
  "a register": 130,
  "the number of files": 280,
  "the first file": 336,
  "a segment": 800,
  "a path": -24,
};

const CASES: readonly Case[] = [
  { situation: "RUNTS_COLD=1", reason: /^cold: RUNTS_COLD is set$/, env: COLD },
  {
    situation: "without an image",
    reason: /^cold: there is no image: \S+\/runts-warm$/,
    spoil: ({ image }) => rmSync(image),
  },
  ...Object.entries(PLACES).map(([what, at]) => ({
    situation: `an image with a wrong bit in ${what}`,
    reason: DAMAGED,
    spoil: ({ image }: Installation) => flip(image, at),
  })),
  {
    situation: "an image without its last page",
    reason: /^cold: \S+\/runts-warm is truncated$/,
    spoil: ({ image }) => truncateSync(image, statSync(image).size - 4096),
  },
  { situation: "an empty image", reason: DAMAGED, spoil: ({ image }) => truncateSync(image, 0) },
  {
    situation: "an image that ends within its head",
    reason: DAMAGED,
    spoil: ({ image }) => truncateSync(image, 300),
  },
  {
    situation: "an image with another modification time",
    reason: CHANGED,
    spoil: ({ image }) => utimesSync(image, 1_000_000_000, 1_000_000_000),
  },
  {
    situation: "an image that was written to",
    reason: CHANGED,
    spoil: ({ image }) => {
      const file = openSync(image, "r+");
      writeSync(file, "x", statSync(image).size - 1);
      closeSync(file);
    },
  },
  {
    situation: "an image that its group may write",
    reason: OTHERS,
    spoil: ({ image }) => chmodSync(image, 0o664),
  },
  {
    situation: "an image that all may write",
    reason: OTHERS,
    spoil: ({ image }) => chmodSync(image, 0o646),
  },
  {
    situation: "another user's image",
    reason: new RegExp(`^cold: \\S+/runts-warm belongs to user ${USER}$`),
    spoil: ({ image }) => chownSync(image, USER, USER),
  },
  {
    situation: "a directory in the image's place",
    reason: NO_FILE,
    spoil: ({ image }) => {
      rmSync(image);
      mkdirSync(image);
    },
  },
  {
    situation: "a FIFO in the image's place",
    reason: NO_FILE,
    spoil: ({ image }) => {
      rmSync(image);
      execFileSync("mkfifo", ["-m", "644", image]);
    },
  },
  {
    situation: "a dangling link in the image's place",
    reason: /^cold: there is no image: /,
    spoil: ({ image }) => {
      rmSync(image);
      symlinkSync("nowhere", image);
    },
  },
  {
    situation: "after another boot",
    reason: /^cold: the image is of another boot$/,
    wrapper: bound("/proc/sys/kernel/random/boot_id", 'tr 0-9a-f 1-9a-f0 < "$file" > "$copy"'),
  },
  {
    situation: "an engine that was touched",
    reason: /^cold: \S+\/runts-engine has been replaced since the image was written$/,
    spoil: ({ directory }) => utimesSync(join(directory, "runts-engine"), 1_000_000_000, 1_000_000_000),
    outlivesImage: true,
  },
  {
    situation: "an engine that was copied",
    reason: /^cold: \S+\/runts-engine has been replaced since the image was written$/,
    spoil: ({ directory }) => {
      copyFileSync(join(directory, "runts-engine"), join(directory, "copy"));
      renameSync(join(directory, "copy"), join(directory, "runts-engine"));
    },
    outlivesImage: true,
  },
  {
    situation: "a koffi.node that has grown",
    reason: /^cold: \S+\/koffi.node has been replaced since the image was written$/,
    spoil: ({ directory }) => appendFileSync(join(directory, "koffi.node"), "x"),
    outlivesImage: true,
  },
  {
    situation: "another libm.so.6",
    reason: /^cold: \S+\/libm.so.6 has been replaced since the image was written$/,
    // Node is linked to it, too, so its mappings say where this machine has it.
    wrapper: bound(/\S+\/libm\.so\.6/.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? ""),
  },
  {
    situation: "a caller's descriptor at a number that the engine uses",
    reason: REFUSED,
    wrapper: after('for fd in {900..1023}; do eval "exec $fd</dev/null"; done'),
  },
  {
    situation: "a hard limit of 256 open files",
    reason: /^cold: the hard limit of open files, 256, is below \d+$/,
    wrapper: after("ulimit -n 256"),
  },
  {
    situation: "an environment of 300,000 bytes",
    reason: /^cold: arguments and environment take more than 262144 bytes$/,
    env: Object.fromEntries(["HOME", "USER", "LOGNAME"].map((name) => [name, "x".repeat(100_000)])),
  },
  { situation: "a limit of 1 GB of addresses", reason: REFUSED, wrapper: after("ulimit -v 1000000") },
  ...(["epoll_ctl", "fcntl", "rseq", "set_robust_list", "set_tid_address", "sigaltstack"] as const).map(
    (call) => ({
      situation: `a filter of the caller that refuses ${call}`,
      reason: REFUSED,
      wrapper: () => withoutCalls(call),
    }),
  ),
];

/** Callers whose start is warm nevertheless. */
const WARM_CASES: readonly (readonly [string, Wrapper])[] = [
  ["in the usual way", () => []],
  ["with a soft limit of 100 open files", after("ulimit -Sn 100")],
  ["by another user", () => asUser],
  ["by root of a user namespace", () => asNamespaceRoot],
  ["by root of another user's namespace", () => [...asUser, ...asNamespaceRoot]],
  ["without randomisation of addresses", () => ["setarch", "-R"]],
  ["where all readable memory is executable", () => ["setarch", "-X"]],
  ["with the legacy layout of addresses", () => ["setarch", "-L"]],
  ["without a stack limit", after("ulimit -s unlimited")],
  ["without standard input", after("exec <&-")],
  ["without standard error", after("exec 2>&-")],
  ["without standard input and error", after("exec <&- 2>&-")],
  ["with a hundred open descriptors", after('for fd in {3..102}; do eval "exec $fd</dev/null"; done')],
  ["in a directory that is gone", (sandbox) => after(`mkdir ${sandbox.path("gone")}; cd $_; rmdir $_`)()],
];

describe.runIf(HAS_WARM_START)("cold starts", () => {
  let installation: Installation;
  let known: Result[] = [];
  const QUESTIONS = [["--version"], ["features"], ["state", "nobody"]];

  beforeAll(() => {
    installation = new Installation();
    installation.warm();
    known = QUESTIONS.map((question) => {
      const { status, stdout, stderr } = spawnSync(installation.runtime, question, {
        encoding: "utf8",
        env: COLD,
      });
      return { code: status ?? -1, stdout, stderr };
    });
    expect(known.map(({ code }) => code)).toEqual([0, 0, 1]);
  });
  afterAll(() => installation.remove());

  async function answers(sandbox: Sandbox, options: Partial<InvokeOptions>): Promise<Result[]> {
    const results: Result[] = [];
    for (const question of QUESTIONS) results.push(await sandbox.invoke(question, options));
    return results;
  }

  const options = (wrapper: readonly string[], env: Readonly<Record<string, string>> = {}) => ({
    runtime: installation.runtime,
    wrapper,
    env: { ...WARM, ...env },
  });

  async function expectCold(sandbox: Sandbox, one: Case, runtime = installation.runtime): Promise<void> {
    const { reason, wrapper = () => [], env = {} } = one;
    const given = { ...options(wrapper(sandbox), env), runtime };
    const { code, stdout, stderr } = await sandbox.invoke(["warm", "--check"], given);
    expect([code, stderr]).toEqual([1, ""]);
    expect(stdout.trim()).toMatch(reason);
    expect(await answers(sandbox, given)).toEqual(known);
  }

  /**
   * Leaves out standard error, which the caller may have closed. Tries up to three times: where the caller has the layout of addresses of
   * the frozen engine, one start of 250 finds an address taken, and is cold.
   */
  async function expectWarm(sandbox: Sandbox, image: string, given: Partial<InvokeOptions>): Promise<void> {
    const check = () => sandbox.invoke(["warm", "--check"], given);
    let result = await check();
    for (let tries = 1; result.code !== 0 && tries < 3; tries++) result = await check();
    expect([result.code, result.stdout]).toEqual([0, `warm: ${image}\n`]);
    const seen = (results: readonly Result[]) => results.map((result) => [result.code, result.stdout]);
    expect(seen(await answers(sandbox, given))).toEqual(seen(known));
  }

  for (const one of CASES) {
    const title = `warm --check, ${one.situation}: the start is cold, for that reason, and its answers are right`;
    spec(title, CLAUSE, async (sandbox) => {
      installation.restore();
      try {
        one.spoil?.(installation);
        await expectCold(sandbox, one);
      } finally {
        if (one.outlivesImage === true) installation.warm();
        else installation.restore();
      }
    });
  }

  spec(
    "warm --check, the installation was copied: the start is cold, and its answers are right",
    CLAUSE,
    async (sandbox) => {
      const copy = sandbox.path("copy");
      execFileSync("cp", ["-a", installation.directory, copy]);
      const reason = /^cold: \S+\/copy\/runts-engine has been replaced since the image was written$/;
      await expectCold(sandbox, { situation: "copied", reason }, join(copy, "runts"));
    },
  );

  spec(
    "warm --check, called through a symlink: the start is warm, and its answers are right",
    CLAUSE,
    async (sandbox) => {
      const link = sandbox.path("link");
      symlinkSync(installation.runtime, link);
      await expectWarm(sandbox, installation.image, { ...options([]), runtime: link });
    },
  );

  spec(
    "warm --check, the installation was moved: the start is warm, and its answers are right",
    CLAUSE,
    async (sandbox) => {
      const moved = `${installation.directory}-moved`;
      renameSync(installation.directory, moved);
      try {
        await expectWarm(sandbox, join(moved, "runts-warm"), {
          ...options([]),
          runtime: join(moved, "runts"),
        });
      } finally {
        renameSync(moved, installation.directory);
      }
    },
  );

  spec(
    "warm --check, arguments of 300,000 bytes: the answer is that of a cold start",
    CLAUSE,
    async (sandbox) => {
      const words = ["validate", ...Array.from({ length: 3 }, () => "x".repeat(100_000))];
      const results = [
        await sandbox.invoke(words, options([])),
        await sandbox.invoke(words, options([], COLD)),
      ];
      expect(results[0]).toEqual(results[1]);
      expect(results[0]?.code).toBe(1);
    },
  );

  for (const [situation, wrapper] of WARM_CASES)
    spec(
      `warm --check, called ${situation}: the start is warm, and its answers are right`,
      CLAUSE,
      async (sandbox) => {
        await expectWarm(sandbox, installation.image, options(wrapper(sandbox)));
      },
    );
});
