import type { RunCommand } from "../options/description.ts";
import { writeJson } from "../output.ts";
import { stateForJson } from "../state-json.ts";

export const run: RunCommand = (context, args, operations) => {
  const state = operations.state(context, args.positional(0));
  writeJson(JSON.stringify(stateForJson(state), undefined, 2));
  return 0;
};
