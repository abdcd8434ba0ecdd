const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3, // U+00B5, micro sign
  μs: 1e3, // U+03BC, Greek letter mu
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const PART = /^(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/;
/** The longest time.Duration: 2^63 - 1 nanoseconds. */
const LONGEST_MS = 9_223_372_036_854.775;

/** Milliseconds of a duration as Go's time.ParseDuration takes it: `5s`, `1m30s`, `-1.5h`; undefined for what it refuses. */
export function parseGoDuration(text: string): number | undefined {
  const [, sign = "", parts = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (parts === "0") return 0;
  if (parts === "") return undefined;
  let nanoseconds = 0;
  for (let rest = parts; rest !== ""; ) {
    const [match, whole = "", fraction = "", unit = ""] = PART.exec(rest) ?? [];
    if (match === undefined || whole + fraction === "") return undefined;
    nanoseconds += Number(`${whole || "0"}.${fraction || "0"}`) * (NANOSECONDS[unit] ?? 0);
    rest = rest.slice(match.length);
  }
  const milliseconds = nanoseconds / 1e6;
  if (milliseconds > LONGEST_MS) return undefined;
  return sign === "-" ? -milliseconds : milliseconds;
}
