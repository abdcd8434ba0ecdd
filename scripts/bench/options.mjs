import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Missing, root } from "../machine.mjs";

/** The options of `npm run bench`. */
export function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string" },
      output: { type: "string", default: join(root, "dist/bench.json") },
      many: { type: "string", default: "0" },
      podman: { type: "boolean", default: false },
      probes: { type: "boolean", default: false },
      svg: { type: "boolean", default: false },
    },
  });
  const { podman, probes, svg } = values;
  if (svg && (podman || probes || values.many !== "0"))
    throw new Missing("--svg draws what is measured without --many, --podman and --probes");
  return {
    rounds: wholeNumber("rounds", values.rounds ?? (probes ? "200" : "60"), 1),
    many: wholeNumber("many", values.many, 0),
    podman,
    probes,
    svg,
    output: resolve(values.output),
  };
}

function wholeNumber(name, text, least) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < least)
    throw new Missing(`--${name} takes a whole number from ${least} on`);
  return number;
}
