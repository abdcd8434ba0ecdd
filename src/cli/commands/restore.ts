import { prepareStateRoot } from "../../container/record/state-root.ts";
import { restoreOptionsFrom } from "../options/criu.ts";
import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = (context, args, operations) => {
  const options = restoreOptionsFrom(args);
  prepareStateRoot(context);
  return operations.restore(context, options);
};
