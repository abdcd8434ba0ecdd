/** The first and the last number, both inclusive. */
export type NumberRange = readonly [first: number, last: number];

/** Far above the limit of any kernel. A mask for this number takes 8 KiB. */
const MAXIMUM = 65_535;

/**
 * Parses a list of CPUs or memory nodes such as "0-3,7": cpuset(7), "List format". Undefined if it is invalid. Blanks and empty elements
 * are accepted, as by runc.
 */
export function parseNumberList(text: string): NumberRange[] | undefined {
  const ranges: NumberRange[] = [];
  for (const element of text.split(",")) {
    const part = element.trim();
    if (part === "") continue;
    const [, first = "", last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (first === "" || Number(first) > Number(last) || Number(last) > MAXIMUM) return undefined;
    ranges.push([Number(first), Number(last)]);
  }
  return ranges;
}

/** An error message for an invalid list; undefined for a valid or blank one. */
export function numberListIssue(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  const ranges = parseNumberList(text);
  if (ranges !== undefined && ranges.length > 0) return undefined;
  return `must be a list of numbers up to ${MAXIMUM} and ranges, such as "0-3,7"`;
}
