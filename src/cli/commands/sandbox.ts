import { stateRoot } from "../../container/record/state-root.ts";
import { RuntsError } from "../../errors.ts";
import type { SandboxOptions } from "../../sandbox/options.ts";
import type { SandboxRun } from "../../sandbox/run.ts";
import { hasUsualRoot } from "../../sandbox/usual-root.ts";
import { defineCommand } from "../command.ts";
import { parseGoDuration } from "../options/go-duration.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { parseSize } from "../options/size.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson } from "../output.ts";

const options = {
  ro: {
    type: "list",
    isPath: true,
    description: "show a file or directory of the host read-only: PATH[:DEST]",
  },
  rw: {
    type: "list",
    isPath: true,
    description: "let the program change a file or directory of the host: PATH[:DEST]",
  },
  tmpfs: { type: "list", description: "put an empty file system in memory at a path" },
  env: {
    alias: "e",
    type: "list",
    description: "set a variable: NAME=value, or NAME for the caller's value",
  },
  cwd: { type: "string", description: "working directory in the sandbox [default: the caller's, read-only]" },
  net: { type: "string", description: "none, or host for the host's network", default: "none" },
  memory: { type: "string", description: "most memory, swap included, in bytes or as in 512m" },
  cpus: { type: "string", description: "most CPU time, in CPUs, as in 1.5" },
  pids: { type: "string", description: "most processes and threads, without those of runts" },
  timeout: {
    type: "string",
    description: "end the program after a time such as 90s or 1h30m; exit code 124",
  },
  uid: { type: "string", description: "user and group id in the sandbox [default: the caller's]" },
  hostname: { type: "string", description: "host name in the sandbox [default: localhost]" },
  landlock: {
    type: "boolean",
    description: "repeat the rights to files as Landlock rules; without --net host, also deny TCP",
  },
  keep: { type: "boolean", description: "keep the record of the sandbox when it has ended" },
  tty: {
    alias: "t",
    type: "boolean",
    tristate: true,
    description: "give the program a terminal of its own [default: if standard input and output are one]",
  },
  "print-config": {
    type: "boolean",
    description: "print the config.json of the sandbox instead of running it",
  },
} as const satisfies OptionTable;

type Values = OptionValues<typeof options>;

export const sandboxCommand = defineCommand({
  name: "sandbox",
  summary: "run a command isolated from the host",
  positionals: { usage: "<command> [args...]", min: 1, max: Infinity, endOptions: true },
  options,
  // As timeout(1) and env(1): not the code of the command.
  failureCode: 125,
  usesState: () => hasUsualRoot(),
  description: [
    "Runs a command in a container without image, bundle or root privileges. It sees the host's programs and libraries and the working directory, " +
      "read-only; a home, /tmp, /dev and /proc of its own; no network, no other process, and of the environment only PATH, HOME, TERM and LANG.",
    "When it has ended, nothing is left. It ends with runts, even if runts is killed by SIGKILL. Then the record of the stopped sandbox, and its cgroup " +
      "if it has limits, stay until runts delete.",
  ],
  examples: [
    ["runts sandbox -- make test", "the working directory can be read, not written"],
    ["runts sandbox --rw . --ro ~/.cargo --net host -- cargo build", "with the network, and two directories"],
    [
      "runts sandbox --cwd /tmp --memory 512m --timeout 30s -- python3 -",
      "a program from standard input, with limits",
    ],
    ["runts sandbox --print-config -- true", "its config.json, for explain, validate and run"],
  ],
  exitStatus: [
    ["N", "exit code of the command, or 128 plus the number of the signal that has ended it"],
    ["124", "the time of --timeout was up"],
    ["125", "the sandbox was not made"],
    ["126", "the command can't be executed"],
    ["127", "the command was not found"],
  ],
  async run(context, { positionals, options }) {
    const { planSandbox, runSandbox } = await import("../../sandbox/run.ts");
    const given = sandboxOptionsFrom(positionals, options);
    const run = sandboxRunFrom(options);
    if (options["print-config"]) {
      const { config } = planSandbox(given, { stateRoot: context.root, terminal: run.terminal ?? false });
      writeJson(JSON.stringify(config, undefined, "\t"));
      return 0;
    }
    const named = context.hasNamedRoot === true ? { ...context, root: stateRoot(context.root) } : context;
    try {
      return await runSandbox(named, given, run);
    } catch (error) {
      const code = codeOfExec(error);
      if (code === undefined || !(error instanceof Error)) throw error;
      context.log.error(error.message);
      return code;
    }
  },
});

/** As env(1) and shells: 127 for a program that is not there, 126 for one that can't be executed. */
function codeOfExec(error: unknown): number | undefined {
  if (!(error instanceof RuntsError) || error.pointer !== "/process/args/0") return undefined;
  return error.errno === "ENOENT" ? 127 : 126;
}

export function sandboxOptionsFrom(args: readonly string[], values: Values): SandboxOptions {
  const { ro, rw, tmpfs, env, cwd, hostname, net, landlock } = values;
  if (net !== "none" && net !== "host") throw invalid("net", net, "none or host");
  const memory = numberFrom("memory", values.memory, bytes, 'a number of bytes, such as "512m"');
  const cpus = numberFrom("cpus", values.cpus, decimal, "a number of CPUs, such as 1.5");
  const pids = numberFrom("pids", values.pids, integer, "a number of processes");
  const uid = numberFrom("uid", values.uid, integer, "a user id");
  return {
    args,
    ro,
    rw,
    tmpfs,
    env,
    net,
    landlock,
    ...(cwd !== undefined && { cwd }),
    ...(hostname !== undefined && { hostname }),
    ...(memory !== undefined && { memory }),
    ...(cpus !== undefined && { cpus }),
    ...(pids !== undefined && { pids }),
    ...(uid !== undefined && { uid }),
  };
}

function sandboxRunFrom({ tty, timeout, keep }: Values): SandboxRun {
  const timeoutMs = numberFrom("timeout", timeout, positiveDuration, 'a time, such as "90s"');
  return { terminal: tty, keep, ...(timeoutMs !== undefined && { timeoutMs }) };
}

function numberFrom<T>(
  name: keyof Values,
  text: string | undefined,
  parse: (text: string) => T | undefined,
  expected: string,
): T | undefined {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value === undefined) throw invalid(name, text, expected);
  return value;
}

function invalid(name: keyof Values, text: string, expected: string): UsageError {
  return new UsageError(`--${name}: must be ${expected}, not ${JSON.stringify(text)}`, "sandbox");
}

function bytes(text: string): number | undefined {
  const size = parseSize(text);
  return size === undefined ? undefined : Number(size);
}

function decimal(text: string): number | undefined {
  return /^\d{1,5}(\.\d{1,5})?$/.test(text) ? Number(text) : undefined;
}

function integer(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function positiveDuration(text: string): number | undefined {
  const ms = parseGoDuration(/^\d+$/.test(text) ? `${text}s` : text);
  return ms !== undefined && ms > 0 ? ms : undefined;
}
