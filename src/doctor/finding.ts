import { textOfLines } from "../../bindings/abi/printable.ts";

/** The result of one check. */
export interface Finding {
  /** Heading that it is listed under: `cgroups`, `mounts`, … */
  readonly area: string;
  readonly subject: string;
  /**
   * `good`: as it should be. `note`: worth knowing, such as what a process may have changed itself. `lacking`: a feature that a few
   * configs ask for is missing. `slow`: it takes longer than is usual. `bad`: containers can't be made, or this container is not what its config says.
   */
  readonly verdict: "good" | "note" | "lacking" | "slow" | "bad";
  readonly detail: string;
  /** How to mend it. */
  readonly fix?: string;
  /** JSON pointer of the config property, for a container. */
  readonly pointer?: string;
  /** Of what was measured: the median and the longest of a few times. */
  readonly milliseconds?: { readonly median: number; readonly most: number };
}

const MARKS = { good: "ok", note: "note", lacking: "missing", slow: "SLOW", bad: "BAD" } as const;

/** One line for each finding, with the fix on a line below it. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  let area = "";
  const lines: string[] = [];
  for (const finding of findings) {
    if (finding.area !== area) lines.push(...(area === "" ? [] : [""]), finding.area);
    area = finding.area;
    const pointer = finding.pointer === undefined ? "" : `  (${finding.pointer})`;
    const { subject, verdict, detail, fix } = finding;
    lines.push(`  ${MARKS[verdict].padEnd(7)}  ${subject.padEnd(width)}  ${detail}${pointer}`.trimEnd());
    if (fix !== undefined) lines.push(`  ${"".padEnd(7)}  ${"".padEnd(width)}  → ${fix}`);
  }
  return textOfLines(lines);
}
