import { join } from "node:path";
import type { Container } from "./container.ts";
import type { Sandbox } from "./sandbox.ts";

/** The record of a container of runts. */
export function stateFile(sandbox: Sandbox, { id }: Pick<Container, "id">): string {
  return join(sandbox.root, id, "state.json");
}

/** Commands that need the record. With an intact one of a running container, all but `wait` would end at once. */
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
    ["wait", id],
    ["devices", "list", id],
    ["report", id],
    ["delete", id],
  ];
}
