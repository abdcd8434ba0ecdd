import type { IdMapping, Linux, Mount } from "./types.ts";

/** The mappings of a user namespace. */
export interface IdMappings {
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
}

/** The option `idmap` or `ridmap` of a mount (config.md, Linux mount options). */
export interface IdMapOption {
  readonly index: number;
  /** For `ridmap`: maps the mounts below as well. */
  readonly recursive: boolean;
  /** The text after `idmap=`, a form of crun (crun(1)); undefined without `=`. */
  readonly mappings: string | undefined;
}

/** The last option for an id mapping, as later options override earlier ones. */
export function idMapOption(options: readonly string[] = []): IdMapOption | undefined {
  for (let index = options.length - 1; index >= 0; index--) {
    const option = options[index] ?? "";
    if (!isIdMapOption(option)) continue;
    const equals = option.indexOf("=");
    return {
      index,
      recursive: option.startsWith("r"),
      mappings: equals < 0 ? undefined : option.slice(equals + 1),
    };
  }
  return undefined;
}

export function isIdMapOption(option: string): boolean {
  return (
    option === "idmap" || option === "ridmap" || option.startsWith("idmap=") || option.startsWith("ridmap=")
  );
}

export function wantsIdMap({ uidMappings, gidMappings, options }: Mount): boolean {
  return (uidMappings ?? []).length + (gidMappings ?? []).length > 0 || idMapOption(options) !== undefined;
}

/**
 * Parses crun's form `uids=0-1000-1#1-2000-9;gids=0-1000-1`: triplets of the first id, the id that it is mapped to, and the number of
 * ids. If a triplet begins with `@`, its second id is one of the container's. Returns an error message if the text is invalid.
 */
export function parseIdMapOption(text: string, linux: Linux | undefined): IdMappings | string {
  const lists = new Map<string, IdMapping[]>();
  for (const part of text.split(";")) {
    const equals = part.indexOf("=");
    const name = part.slice(0, Math.max(0, equals));
    if ((name !== "uids" && name !== "gids") || lists.has(name)) {
      return `has "${part}" where uids= or gids= is expected once each`;
    }
    const ofContainer = (name === "uids" ? linux?.uidMappings : linux?.gidMappings) ?? [];
    const list: IdMapping[] = [];
    for (const triplet of part.slice(equals + 1).split("#")) {
      const mapping = parseTriplet(triplet, ofContainer);
      if (typeof mapping === "string") return mapping;
      list.push(mapping);
    }
    lists.set(name, list);
  }
  const [uidMappings, gidMappings] = [lists.get("uids"), lists.get("gids")];
  if (uidMappings === undefined || gidMappings === undefined) return "must have both uids= and gids=";
  return { uidMappings, gidMappings };
}

function parseTriplet(text: string, ofContainer: readonly IdMapping[]): IdMapping | string {
  const match = /^(@?)(\d{1,10})-(\d{1,10})-(\d{1,10})$/.exec(text);
  if (match === null) return `has the mapping "${text}" where ID-ID-SIZE is expected`;
  const [containerID, target, size] = [Number(match[2]), Number(match[3]), Number(match[4])];
  if (match[1] === "") return { containerID, hostID: target, size };
  const range = ofContainer.find(
    (mapping) => target >= mapping.containerID && target + size <= mapping.containerID + mapping.size,
  );
  if (range === undefined)
    return `has the mapping "${text}", which no single mapping of the container covers`;
  return { containerID, hostID: target - range.containerID + range.hostID, size };
}
