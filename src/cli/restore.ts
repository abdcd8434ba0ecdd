import { prepareStateRoot } from "../container/state-root.ts";
import { restoreOptionsFrom } from "./criu-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = (context, args, operations) => {
  const options = restoreOptionsFrom(args);
  prepareStateRoot(context);
  return operations.restore(context, options);
};
