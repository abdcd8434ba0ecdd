/** A first and a last number, both included. */
export type NumberRange = readonly [first: number, last: number];

/** Far above what any kernel is built for: a mask of the largest number allowed takes 8 KiB. */
const MAXIMUM = 65_535;

/**
 * A list of CPUs or memory nodes such as "0-3,7": cpuset(7), "List format". undefined if it is none; blanks and empty
 * elements are let through, as by runc.
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

/** What is wrong with a list; undefined for a correct one, and for blanks, which ask for nothing. */
export function numberListIssue(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  const ranges = parseNumberList(text);
  if (ranges !== undefined && ranges.length > 0) return undefined;
  return `must be a list of numbers up to ${MAXIMUM} and ranges, such as "0-3,7"`;
}
