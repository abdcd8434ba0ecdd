/** The aims of the project for runts as it is installed. */
import { median, pairedRatio } from "./rounds.mjs";

/** Units of the figures that are not milliseconds. */
const units = {
  "init PSS": "KiB",
  "run, 4 workers": "per s",
  "create, the last of many": "of the first, beside --version",
  "alive at once": "",
  "left after delete": "",
};

export function unitOf(figure) {
  return units[figure] ?? "ms";
}

/** Commands that are compared with both peers. Each may take at most this multiple of crun's time, and has to be faster than runc's. */
const commands = {
  "--version": 1.2,
  state: 1.6,
  run: 1.6,
  exec: 1.6,
  "create+start+delete": 1.6,
  pause: 1.6,
  resume: 1.6,
  kill: 1.6,
};

export const aims = [
  ...Object.entries(commands).flatMap(([figure, atMost]) => [
    { figure, to: "crun", atMost },
    { figure, to: "runc", below: 1 },
  ]),
  { figure: "exec, output to end", atMost: 1 },
  { figure: "run, CPU", to: "crun", atMost: 2 },
  { figure: "run, 4 workers", atLeast: 140 },
  { figure: "init PSS", atMost: 64 },
  { figure: "podman run", to: "runc", below: 1 },
  { figure: "create, the last of many", atMost: 1.3 },
];

/** The aims that there are samples for, each with its value: a median, or a paired ratio with its quartiles. */
export function judge(samples) {
  return aims
    .filter(({ figure }) => samples[figure])
    .map((aim) => {
      const { warm, [aim.to]: base } = samples[aim.figure];
      const measured = aim.to ? pairedRatio(warm, base) : { value: median(warm) };
      return {
        ...aim,
        unit: aim.to ? `of ${aim.to}` : unitOf(aim.figure),
        ...measured,
        met: isMet(aim, measured),
      };
    });
}

function isMet({ atMost, below, atLeast }, { value }) {
  if (atMost !== undefined) return value <= atMost;
  return below !== undefined ? value < below : value >= atLeast;
}
