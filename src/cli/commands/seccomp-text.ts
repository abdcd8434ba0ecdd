import { textOfLines } from "../../../bindings/abi/printable.ts";
import type { ExplainedCall } from "../../container/seccomp/explain.ts";

export function explanationText(call: ExplainedCall): string {
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

/** Arguments are text, as JSON's numbers have 53 bits for many readers. */
export function explanationJson(call: ExplainedCall): string {
  return JSON.stringify({ ...call, args: call.args.map(hex) }, undefined, 2);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
