import { parseNumberList } from "../../spec/number-list.ts";

/**
 * The bits that a list such as "0-3,7" stands for, as the kernel takes masks of CPUs and nodes: whole words of 64 bits, as
 * many as the largest number needs, since machines have more CPUs than any fixed size foresaw.
 */
export function numberMask(list: string): Uint8Array {
  const ranges = parseNumberList(list) ?? [];
  const largest = Math.max(-1, ...ranges.map(([, last]) => last));
  const mask = new Uint8Array(8 * Math.ceil((largest + 1) / 64));
  for (const [first, last] of ranges) {
    for (let number = first; number <= last; number++) {
      const byte = number >> 3;
      mask[byte] = (mask[byte] ?? 0) | (1 << (number & 7));
    }
  }
  return mask;
}
