import { features } from "../container/features.ts";
import type { RunCommand } from "./description.ts";
import { writeOutput } from "./output.ts";

export const run: RunCommand = () => {
  writeOutput(`${JSON.stringify(features(), undefined, 4)}\n`);
  return 0;
};
