import { textOfLines } from "../../bindings/abi/printable.ts";
import type { Finding, Validation } from "./finding.ts";

/** For people: each finding with its place, and the hint below it. */
export function validationText(validation: Validation): string {
  const { file, findings, notes } = validation;
  const lines = [...findings.flatMap(findingLines), ...notes.flatMap((note) => ["", `note: ${note}`])];
  return textOfLines([`${file}: ${summary(validation)}`, ...lines]);
}

export function summary({ errors, warnings }: Validation): string {
  if (errors + warnings === 0) return "no errors, no warnings";
  return `${counted(errors, "error")}, ${counted(warnings, "warning")}`;
}

function counted(count: number, what: string): string {
  return `${count === 0 ? "no" : count} ${what}${count === 1 ? "" : "s"}`;
}

function findingLines({ severity, rule, line, pointer, message, hint }: Finding): string[] {
  const place = [...(line === undefined ? [] : [`line ${line}`]), ...(pointer === "" ? [] : [pointer])].join(
    ", ",
  );
  return [
    "",
    `${severity}: ${place === "" ? "" : `${place}: `}${message} [${rule}]`,
    ...(hint === undefined ? [] : [`  ${hint}`]),
  ];
}
