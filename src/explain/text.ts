import { textOfLines } from "../../bindings/abi/printable.ts";
import { type ExplainedOperation, type Explanation, STEPS, UNIT_PROPERTY } from "./operation.ts";

/** Operations of the stub that are left out for people. The names that they give to results appear all the same. */
const HIDDEN = new Set(["copy", "load", "set-channel"]);
const POINTER_COLUMN = 76;

export interface TextOptions {
  /** Without the calls of each purpose. */
  readonly brief: boolean;
}

/** Whether an operation is shown to people. */
export function isShown({ call }: ExplainedOperation): boolean {
  return !HIDDEN.has(call);
}

/** For people: grouped by the steps of runtime.md, and by the purpose of consecutive calls. */
export function explanationText(explanation: Explanation, options: TextOptions): string {
  const { id, bundle, operations, warnings, notes, error } = explanation;
  const calls = operations.filter(
    (operation) => isShown(operation) && operation.call !== UNIT_PROPERTY,
  ).length;
  const lines = [
    `create and start of ${id} from ${bundle}: ${calls} operations. Nothing is done here.`,
    "Where a line has a JSON pointer, that property of config.json asks for it; <...> is known only when it is done.",
    ...operationLines(operations, options),
    ...(error === undefined ? [] : ["", `Here it would fail: ${error.message}`]),
    ...section("Warnings", warnings),
    ...section("Notes", notes),
  ];
  return textOfLines(lines);
}

function section(heading: string, messages: readonly string[]): string[] {
  return messages.length === 0 ? [] : ["", heading, ...messages.map((message) => `  ${message}`)];
}

export function operationLines(
  operations: readonly ExplainedOperation[],
  { brief }: TextOptions,
  mark: (operation: ExplainedOperation) => string = () => "",
): string[] {
  const lines: string[] = [];
  const begun = new Set<number>();
  let step = 0;
  let group = "";
  for (const operation of operations) {
    if (!isShown(operation)) continue;
    const prefix = mark(operation);
    if (operation.step !== step) {
      step = operation.step;
      group = "";
      lines.push(
        "",
        `Step ${step} of the lifecycle${begun.has(step) ? ", continued" : ""}: ${STEPS[step] ?? ""}`,
      );
      begun.add(step);
    }
    const key = [prefix, operation.by, operation.pointer, operation.purpose].join("\0");
    if (key !== group) {
      group = key;
      lines.push(prefix + groupLine(operation));
    }
    if (!brief) lines.push(`${prefix}      ${callText(operation)}`);
  }
  return lines;
}

function groupLine({ by, purpose, pointer }: ExplainedOperation): string {
  const text = `  ${by}: ${purpose}`;
  return pointer === "" ? text : `${text.padEnd(POINTER_COLUMN)} ${pointer}`;
}

/** `if <fd of /proc> is not there: mkdirat(...) = <name of the result>`, or `TasksMax = uint64 7`. */
export function callText(operation: ExplainedOperation): string {
  const { call, args, result } = operation;
  if (call === UNIT_PROPERTY) return args.join(" = ");
  const condition = operation.if === undefined ? "" : `${conditionText(operation.if)}: `;
  const named = result === undefined ? "" : ` = ${result}`;
  return `${condition}${call}(${args.join(", ")})${named}`;
}

const CONDITIONS = { ok: "is there", failed: "is not there", zero: "is 0", positive: "is there" } as const;

function conditionText({ result, is }: NonNullable<ExplainedOperation["if"]>): string {
  return `if ${result} ${CONDITIONS[is]}`;
}
