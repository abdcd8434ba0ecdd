import type { Report, Rule } from "../issues.ts";
import { numberListIssue } from "../number-list.ts";
import type { Config, Process, Scheduler } from "../types.ts";

export const processRules: readonly Rule[] = [
  { reads: ["/process/rlimits"], check: (config, report) => withProcess(config, report, rlimitRules) },
  { reads: ["/process/args"], check: (config, report) => withProcess(config, report, argsRule) },
  { reads: ["/process/cwd"], check: (config, report) => withProcess(config, report, cwdRule) },
  { reads: ["/process/scheduler"], check: (config, report) => withProcess(config, report, schedulerRules) },
  {
    reads: ["/process/execCPUAffinity"],
    check: (config, report) => withProcess(config, report, affinityRules),
  },
  { reads: ["/process/consoleSize"], check: (config, report) => withProcess(config, report, consoleRules) },
];

/** The lowest runtime that the kernel accepts, in nanoseconds: sched(7), SCHED_DEADLINE. */
const MINIMUM_RUNTIME = 1024n;

function withProcess(config: Config, report: Report, rule: (process: Process, report: Report) => void): void {
  if (config.process !== undefined) rule(config.process, report);
}

/** An empty name is reported as a program that was not found, in the words that engines parse. */
function argsRule({ args }: Process, report: Report): void {
  if (args[0] === "") report("/process/args/0", 'exec: "": executable file not found in $PATH');
}

/** The kernel refuses longer paths (PATH_MAX, path_resolution(7)), and creating one part by part would take seconds. */
function cwdRule({ cwd }: Process, report: Report): void {
  if (Buffer.byteLength(cwd) > 4095) report("/process/cwd", "must be at most 4095 bytes long");
}

function rlimitRules({ rlimits = [] }: Process, report: Report): void {
  const seen = new Set<string>();
  for (const [index, { type, soft, hard }] of rlimits.entries()) {
    if (seen.has(type)) report(`/process/rlimits/${index}/type`, `${type} is listed twice`);
    seen.add(type);
    if (soft > hard) report(`/process/rlimits/${index}/soft`, `must not exceed the hard limit ${hard}`);
  }
}

function affinityRules({ execCPUAffinity }: Process, report: Report): void {
  if (execCPUAffinity === undefined) return;
  for (const [name, list] of Object.entries(execCPUAffinity)) {
    const issue = name === "initial" || name === "final" ? numberListIssue(String(list)) : undefined;
    if (issue !== undefined) report(`/process/execCPUAffinity/${name}`, issue);
  }
}

/** A terminal's height and width have 16 bits: ioctl_tty(2), struct winsize. */
function consoleRules({ terminal, consoleSize }: Process, report: Report): void {
  if (terminal !== true || consoleSize === undefined) return;
  for (const side of ["height", "width"] as const) {
    if (consoleSize[side] > 0xffff) report(`/process/consoleSize/${side}`, "must be at most 65535");
  }
}

/** Whether a policy uses the nice value: sched_setattr(2). */
export function hasNiceValue(policy: Scheduler["policy"]): boolean {
  return policy === "SCHED_OTHER" || policy === "SCHED_BATCH";
}

/** Refuses attributes that a policy does not have, except a nice value, which the kernel ignores: sched_setattr(2). */
function schedulerRules({ scheduler }: Process, report: Report): void {
  if (scheduler === undefined) return;
  const { policy, nice = 0, priority = 0, runtime = 0n, deadline = 0n, period = 0n } = scheduler;
  const at = "/process/scheduler";
  if (hasNiceValue(policy) && (nice < -20 || nice > 19)) report(`${at}/nice`, "must be from -20 to 19");
  if (policy === "SCHED_FIFO" || policy === "SCHED_RR") {
    if (priority < 1 || priority > 99) report(`${at}/priority`, `must be from 1 to 99 for ${policy}`);
  } else if (priority !== 0) {
    report(`${at}/priority`, "applies to SCHED_FIFO and SCHED_RR only");
  }
  if (policy === "SCHED_DEADLINE") {
    const isOrdered = runtime > 0n && runtime <= deadline && (period === 0n || deadline <= period);
    if (!isOrdered) report(at, "must have 0 < runtime <= deadline <= period");
    else if (runtime < MINIMUM_RUNTIME) report(`${at}/runtime`, `must be at least ${MINIMUM_RUNTIME} ns`);
    return;
  }
  for (const [name, value] of Object.entries({ runtime, deadline, period })) {
    if (value !== 0n) report(`${at}/${name}`, "applies to SCHED_DEADLINE only");
  }
}
