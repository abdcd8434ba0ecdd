import { prepareDirectories } from "../container/state-root.ts";
import { createOptionsFrom } from "./create-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  const options = createOptionsFrom(args);
  prepareDirectories(context, options.pidFile);
  await operations.create(context, options);
  return 0;
};
