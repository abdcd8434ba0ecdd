const UNITS = "bkmgtp";
const SIZE = /^(\d{1,19})(?:\.(\d{1,9}))? ?(?:([kmgtp])i?b?|b)?$/i;
/** The largest number that the kernel's limits take: 2^63 - 1. */
const MOST = 0x7fffffffffffffffn;

/** Bytes of a size in the notation of docker's units package: `64m`, `1.5GiB`; undefined for any other text. */
export function parseSize(text: string): bigint | undefined {
  const [match, whole = "0", fraction = "", unit = "b"] = SIZE.exec(text) ?? [];
  if (match === undefined) return undefined;
  const factor = 1024n ** BigInt(UNITS.indexOf(unit.toLowerCase()));
  // Digits after the point are exact too: 0.1g is 107374182 bytes.
  const value = (BigInt(whole + fraction) * factor) / 10n ** BigInt(fraction.length);
  return value <= MOST ? value : undefined;
}
