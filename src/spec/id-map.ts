import type { IdMapping } from "./types.ts";

/** Reads a uid_map or gid_map: each line has the first id inside, the first id outside, and how many follow. user_namespaces(7) */
export function parseIdMap(text: string): IdMapping[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [containerID = 0, hostID = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    return { containerID, hostID, size };
  });
}

/** One line of a uid_map or gid_map. */
export function mapLine({ containerID, hostID, size }: IdMapping): string {
  return `${containerID} ${hostID} ${size}`;
}

/** The id outside of a user namespace to which its mappings map an id inside; undefined if they don't map it. */
export function outerId(id: number, mappings: readonly IdMapping[]): number | undefined {
  for (const { containerID, hostID, size } of mappings) {
    if (id >= containerID && id < containerID + size) return hostID + id - containerID;
  }
  return undefined;
}
