import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { expect } from "vitest";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice: [A-Za-z0-9_+.-], not . or ..";

for (const suffix of ["a", "A_b+c.d-e", ".hidden", "-dash", "x".repeat(100)]) {
  spec(`create with id …${suffix}: accepted`, CLAUSE, async (sandbox) => {
    const container = sandbox.container();
    const id = `${sandbox.tag}${suffix}`;
    expect((await sandbox.invoke(["create", "--bundle", container.bundle, id])).stderr).toBe("");
    expect((await sandbox.invoke(["state", id])).stdout).toContain(`"${id}"`);
    expect((await sandbox.invoke(["delete", id])).code).toBe(0);
  });
}

const idDeviations = byCase(
  {
    crun: { reason: "any id without a slash is taken", before: "1.28" },
    cases: ['"a b"', '"a\\nb"', '"é"', '"a:b"', '"a*b"', '"a@b"'],
  },
  {
    crun: { reason: "an id is any file name", before: "1.28" },
    runc: { reason: "an id may have a comma until 1.2", before: "1.2" },
    cases: ['"a,b"'],
  },
);

for (const id of [
  "",
  ".",
  "..",
  "a/b",
  "../escape",
  "/absolute",
  "a b",
  "a\nb",
  "é",
  "a:b",
  "a,b",
  "a*b",
  "a@b",
  "x".repeat(5000),
]) {
  spec(
    `create with id ${JSON.stringify(id.slice(0, 20))}: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container();
      mkdirSync(sandbox.root);
      expectRefusal(
        await sandbox.invoke(["create", "--bundle", container.bundle, id]),
        inOurWords(id === "" ? "container id cannot be empty" : "invalid container ID format: "),
      );
      expect(readdirSync(sandbox.root)).toEqual([]);
      expect(existsSync(sandbox.path("escape"))).toBe(false);
      expect(await sandbox.traces()).toEqual([]);
    },
    idDeviations(JSON.stringify(id.slice(0, 20))),
  );
}

const outsideDeviations = byCase({
  crun: {
    reason: "delete takes the folder above the state root for a container, and empties it",
    before: "1.28",
  },
  cases: ["delete .."],
});

for (const command of ["state", "start", "kill", "delete"]) {
  for (const id of ["..", "../tmp", "a/../b"]) {
    spec(
      `${command} with id ${id}: error, nothing outside the state root is touched`,
      CLAUSE,
      async (sandbox) => {
        mkdirSync(sandbox.root);
        mkdirSync(sandbox.path("precious"));
        expectRefusal(
          await sandbox.invoke([command, id]),
          inOurWords(`invalid container ID format: ${JSON.stringify(id)}`),
        );
        expect(existsSync(sandbox.path("precious"))).toBe(true);
        expect(existsSync(sandbox.temporary)).toBe(true);
      },
      outsideDeviations(`${command} ${id}`),
    );
  }
}

spec(
  "delete --force with id ../precious: the folder outside the state root stays",
  CLAUSE,
  async (sandbox) => {
    mkdirSync(sandbox.root);
    mkdirSync(sandbox.path("precious"));
    await sandbox.invoke(["delete", "--force", "../precious"]);
    expect(existsSync(sandbox.path("precious"))).toBe(true);
  },
);
