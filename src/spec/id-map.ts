import type { IdMapping } from "./types.ts";

/** Parses a uid_map or gid_map: each line has the first id inside, the first id outside, and the number of ids. user_namespaces(7) */
export function parseIdMap(text: string): IdMapping[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [containerID = 0, hostID = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    return { containerID, hostID, size };
  });
}

/** Formats one line of a uid_map or gid_map. */
export function mapLine({ containerID, hostID, size }: IdMapping): string {
  return `${containerID} ${hostID} ${size}`;
}

/** Translates an id inside a user namespace to the id outside; undefined if it is not mapped. */
export function outerId(id: number, mappings: readonly IdMapping[]): number | undefined {
  for (const { containerID, hostID, size } of mappings) {
    if (id >= containerID && id < containerID + size) return hostID + id - containerID;
  }
  return undefined;
}
