import { textOfLines } from "../../../bindings/abi/printable.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { type ExplainedCall, explainSyscall } from "../../container/seccomp/explain.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput } from "../output.ts";

export const seccompCommand = defineCommand({
  name: "seccomp",
  summary: "show which seccomp rule applies",
  positionals: { usage: "explain [container-id] <syscall> [args...]", min: 2, max: 9 },
  options: {
    bundle: {
      alias: "b",
      type: "string",
      isPath: true,
      description: "directory of a bundle, instead of a container",
    },
    json: { type: "boolean", description: "print JSON" },
  },
  usesState: (args) => args.options.bundle === undefined,
  description: [
    "Shows how the seccomp filter of a container, or of a bundle, treats a system call, and which rule of the profile decides. It asks the " +
      "compiled filter, and lists every rule that names the call with the reason why it does not match. The call is a name or a number, as in " +
      "the kernel's log. Arguments are numbers as in C; those that are not given are 0.",
    "`runts run --seccomp-trace` shows which calls of a program its profile denies. `runts run --seccomp-record FILE` writes a profile of those that " +
      "it makes.",
  ],
  examples: [
    ["runts seccomp explain web mount", "for a container"],
    [
      "runts seccomp explain --bundle /srv/web clone 0x10000000",
      "for a bundle, with the call's first argument",
    ],
  ],
  run(context, { positionals: [verb, ...rest], options: { bundle, json } }) {
    if (verb !== "explain")
      throw new UsageError(`seccomp ${JSON.stringify(verb)}: must be explain`, "seccomp");
    const [id, words] = bundle === undefined ? [rest[0], rest.slice(1)] : [undefined, rest];
    const [name, ...values] = words;
    if (name === undefined) throw new UsageError("seccomp explain needs a system call", "seccomp");
    if (values.length > 6)
      throw new UsageError("seccomp explain: a system call has six arguments", "seccomp");
    const where = bundle === undefined ? { id: id ?? "" } : { bundle: absolutePath(bundle) };
    const explained = explainSyscall(context, where, name, values.map(argumentOf));
    if (json) writeJson(explanationJson(explained));
    else writeOutput(explanationText(explained));
    return 0;
  },
});

/** Parses a number as C writes it; a negative one becomes its 64-bit two's complement. */
function argumentOf(text: string): bigint {
  if (!/^-?(0x[0-9a-f]+|0o?[0-7]+|\d+)$/i.test(text))
    throw new UsageError(`seccomp explain: ${text} is not a number`, "seccomp");
  const digits = text.replace(/^-/, "").replace(/^0([0-7]+)$/, "0o$1");
  const number = text.startsWith("-") ? -BigInt(digits) : BigInt(digits);
  if (number >= 2n ** 64n || number < -(2n ** 63n))
    throw new UsageError(`seccomp explain: ${text} has more than 64 bits`, "seccomp");
  return BigInt.asUintN(64, number);
}

function explanationText(call: ExplainedCall): string {
  const { name, number, architecture, args, action, allowed, pointer, reason, rules } = call;
  const width = Math.max(0, ...rules.map((rule) => rule.pointer.length));
  const kind = Math.max(0, ...rules.map((rule) => rule.action.length));
  return textOfLines([
    `${name}(${args.map(hex).join(", ")}), number ${number} of ${architecture}: ${allowed ? "allowed" : "denied"}, ${action}`,
    `decided by ${pointer}: ${reason}`,
    ...(rules.length === 0 ? [] : [`rules that name ${name}:`]),
    ...rules.map(
      (rule) =>
        `  ${rule.pointer.padEnd(width)}  ${rule.action.padEnd(kind)}  ${rule.matches ? "matches" : rule.reason}`,
    ),
  ]);
}

/** Arguments are strings: many readers of JSON have numbers of 53 bits only. */
function explanationJson(call: ExplainedCall): string {
  return JSON.stringify({ ...call, args: call.args.map(hex) }, undefined, 2);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
