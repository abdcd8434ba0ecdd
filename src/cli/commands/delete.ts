import { deleteContainer } from "../../container/delete.ts";
import { listContainers } from "../../container/record/status.ts";
import { defineCommand } from "../command.ts";
import { forEachMatch, regexOption } from "../matching-containers.ts";
import { oneContainer } from "../options/shared-options.ts";

export const deleteCommand = defineCommand({
  name: "delete",
  summary: "delete a stopped container",
  positionals: oneContainer,
  options: {
    force: {
      alias: "f",
      type: "boolean",
      description: "kill the container first if it is running; succeed if it does not exist",
    },
    regex: regexOption,
  },
  description: [
    "Removes the cgroup and the state of a container that has stopped or was never started, and runs its poststop hooks.",
  ],
  examples: [
    ["runts delete web", "a stopped container"],
    ["runts delete --force web", "also if it is running or does not exist"],
    ["runts delete --force --regex '^test-'", "all containers whose ids match"],
  ],
  run(context, { positionals: [id], options }) {
    const remove = (each: string) => deleteContainer(context, each, { force: options.force });
    if (options.regex) return forEachMatch(listContainers(context), id, context.log, remove);
    remove(id);
    return 0;
  },
});
