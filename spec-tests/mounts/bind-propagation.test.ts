import { expect } from "vitest";
import { bound, mountsOf, seen, tree } from "../harness/host/bound-tree.ts";
import { byCase } from "../harness/peers.ts";
import { spec } from "../harness/spec.ts";

const COPIED_AS_PRIVATE =
  "copies bind sources as private mounts, and does not apply each of several propagations";
const PROPAGATION_SPREADS =
  "gives the propagation of a bind mount to the mounts below it as well, and a recursive one of the root overrides it";

const CLAUSE = "config.md, Linux mount options";

/** The propagation of an rbind of a shared tree, by option. Without one, the container's mounts are its slaves. */
const PROPAGATION: readonly [option: string, top: readonly string[], sub: readonly string[]][] = [
  ["private", [], ["master"]],
  ["rprivate", [], []],
  ["shared", ["shared", "master"], ["master"]],
  ["rshared", ["shared", "master"], ["shared", "master"]],
  ["slave", ["master"], ["master"]],
  ["rslave", ["master"], ["master"]],
  ["unbindable", ["unbindable"], ["master"]],
  ["runbindable", ["unbindable"], ["unbindable"]],
];

const bindDeviations = byCase({
  crun: COPIED_AS_PRIVATE,
  cases: ["private", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"],
});

for (const [option, onTop, below] of PROPAGATION) {
  const title = `rbind of a shared tree with ${option}: ${onTop.join("+") || "private"}, below ${below.join("+") || "private"}`;
  spec(
    title,
    CLAUSE,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, undefined, "shared"), ["rbind", option]));
      expect([top.propagation, sub.propagation]).toEqual([onTop, below]);
    },
    bindDeviations(option),
  );
}

spec(
  "rbind with rprivate, then shared: applied in the order given",
  CLAUSE,
  async (sandbox) => {
    const container = bound(sandbox, tree(sandbox, undefined, "shared"), ["rbind", "rprivate", "shared"]);
    const [top, sub] = await seen(container);
    expect([top.propagation, sub.propagation]).toEqual([["shared"], []]);
  },
  { crun: COPIED_AS_PRIVATE },
);

const OWN = ["plain", ...PROPAGATION.map(([option]) => option)];

/**
 * For each rootfsPropagation: the propagation of binds of a shared tree, by their own option: of the mount and of the one below it. As on
 * runc's main branch: the word applies to all mounts before the container's are made and, if it is not a private or slave one, to the root
 * mount again at the end.
 */
const UNDER: readonly [
  words: readonly string[],
  own: "stays" | "is overridden",
  binds: Readonly<Record<string, string>>,
][] = [
  [
    ["private", "slave", "shared", "unbindable"],
    "stays",
    {
      plain: "shared, shared",
      private: "none, shared",
      rprivate: "none, none",
      slave: "master, shared",
      rslave: "master, master",
      shared: "shared, shared",
      rshared: "shared, shared",
      unbindable: "unbindable, shared",
      runbindable: "unbindable, unbindable",
    },
  ],
  [
    ["rprivate"],
    "stays",
    {
      plain: "none, none",
      private: "none, none",
      rprivate: "none, none",
      slave: "none, none",
      rslave: "none, none",
      shared: "shared, none",
      rshared: "shared, shared",
      unbindable: "unbindable, none",
      runbindable: "unbindable, unbindable",
    },
  ],
  [
    ["rslave"],
    "stays",
    {
      plain: "master, master",
      private: "none, master",
      rprivate: "none, none",
      slave: "master, master",
      rslave: "master, master",
      shared: "shared+master, master",
      rshared: "shared+master, shared+master",
      unbindable: "unbindable, master",
      runbindable: "unbindable, unbindable",
    },
  ],
  [
    ["rshared"],
    "is overridden",
    {
      plain: "shared, shared",
      private: "shared, shared",
      rprivate: "shared, shared",
      slave: "shared+master, shared",
      rslave: "shared+master, shared+master",
      shared: "shared, shared",
      rshared: "shared, shared",
      unbindable: "shared, shared",
      runbindable: "shared, shared",
    },
  ],
  [["runbindable"], "is overridden", Object.fromEntries(OWN.map((own) => [own, "unbindable, unbindable"]))],
];

const rootDeviations = byCase(
  { crun: PROPAGATION_SPREADS, cases: ["private", "slave", "shared", "unbindable", "rprivate"] },
  {
    crun: PROPAGATION_SPREADS,
    runc: {
      reason: "sets rslave on all mounts again at the end; no longer on its main branch",
      from: "1.3.1",
    },
    cases: ["rslave"],
  },
  {
    crun: PROPAGATION_SPREADS,
    runc: { reason: "the propagation of the root mount itself came with 1.3.1", before: "1.3.1" },
    cases: ["rshared"],
  },
  {
    crun: "makes all mounts unbindable first, so that later binds fail",
    runc: "makes all mounts unbindable first, so that later binds, those of masks too, fail",
    cases: ["runbindable"],
  },
);

for (const [words, own, binds] of UNDER) {
  for (const word of words) {
    const title = `rootfsPropagation ${word}, binds of a shared tree: their own propagation ${own}`;
    spec(
      title,
      `${CLAUSE}; config-linux.md, rootfsPropagation`,
      async (sandbox) => {
        const source = tree(sandbox, undefined, "shared");
        const container = sandbox.shell("grep ' /tmp/' /proc/self/mountinfo", (config) => {
          config.linux.rootfsPropagation = word;
          config.root.readonly = false;
          for (const option of OWN) {
            const options = option === "plain" ? ["rbind"] : ["rbind", option];
            config.mounts.push({ destination: `/tmp/${option}`, type: "bind", source, options });
          }
        });
        const mounts = mountsOf(await container.output());
        const found = OWN.map((option) => {
          const both = [`/tmp/${option}`, `/tmp/${option}/sub`].map((path) => mounts.get(path)?.propagation);
          return [option, both.map((words) => (words?.length === 0 ? "none" : words?.join("+"))).join(", ")];
        });
        expect(Object.fromEntries(found)).toEqual(binds);
      },
      rootDeviations(word),
    );
  }
}
