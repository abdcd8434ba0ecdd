import { join } from "node:path";
import type { Container } from "./container.ts";
import type { Sandbox } from "./sandbox.ts";

/** The record of a container of runts. */
export function stateFile(sandbox: Sandbox, { id }: Pick<Container, "id">): string {
  return join(sandbox.root, id, "state.json");
}

/** Commands that need the record, each of which would end at once with an intact one. */
export function commandsOn({ id }: Pick<Container, "id">): readonly (readonly string[])[] {
  return [
    ["state", id],
    ["start", id],
    ["kill", id, "0"],
    ["exec", id, "true"],
    ["pause", id],
    ["resume", id],
    ["ps", id],
    ["update", "--pids-limit", "10", id],
    ["events", "--stats", id],
    ["delete", id],
  ];
}
