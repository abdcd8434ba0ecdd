import { features } from "../../container/features.ts";
import type { RunCommand } from "../options/description.ts";
import { writeJson } from "../output.ts";

export const run: RunCommand = () => {
  writeJson(JSON.stringify(features(), undefined, 4));
  return 0;
};
