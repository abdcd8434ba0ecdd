import { absolutePath } from "../../../bindings/linux/paths.ts";
import { explainSyscall } from "../../container/seccomp/explain.ts";
import type { RunCommand } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput } from "../output.ts";
import { explanationJson, explanationText } from "./seccomp-text.ts";

/** `seccomp explain`: which rule of a profile decides about a system call. */
export const run: RunCommand = (context, args) => {
  const [verb, ...rest] = args.positionals;
  if (verb !== "explain") throw new UsageError(`seccomp: ${verb} is not explain`, "seccomp");
  const bundle = args.string("bundle");
  const [id, words] = bundle === undefined ? [rest[0], rest.slice(1)] : [undefined, rest];
  const [name, ...values] = words;
  if (name === undefined) throw new UsageError("seccomp explain: which system call?", "seccomp");
  if (values.length > 6) throw new UsageError("seccomp explain: a system call has six arguments", "seccomp");
  const where = bundle === undefined ? { id: id ?? "" } : { bundle: absolutePath(bundle) };
  const explained = explainSyscall(context, where, name, values.map(argumentOf));
  if (args.flag("json")) writeJson(explanationJson(explained));
  else writeOutput(explanationText(explained));
  return 0;
};

/** A number as C writes it; a negative one is that of 64 bits. */
function argumentOf(text: string): bigint {
  if (!/^-?(0x[0-9a-f]+|0o?[0-7]+|\d+)$/i.test(text))
    throw new UsageError(`seccomp explain: ${text} is not a number`, "seccomp");
  const digits = text.replace(/^-/, "").replace(/^0([0-7]+)$/, "0o$1");
  const number = text.startsWith("-") ? -BigInt(digits) : BigInt(digits);
  if (number >= 2n ** 64n || number < -(2n ** 63n))
    throw new UsageError(`seccomp explain: ${text} has more than 64 bits`, "seccomp");
  return BigInt.asUintN(64, number);
}
