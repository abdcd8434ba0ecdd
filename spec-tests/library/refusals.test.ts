import { describe, expect } from "vitest";
import { program } from "../harness/helpers/library.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: the library";

/** Values that only a program can pass, not the command line. */
describe.runIf(IS_RUNTS)("the library refuses", () => {
  spec(
    "run and exec with a pipe as stdin: refused, since nobody could write to it",
    CLAUSE,
    async (sandbox) => {
      const body = `
      const refusal = (promise) => promise.then(() => "done", ({ name, path }) => [name, path]);
      await runts.create(target);
      try {
        return [
          await refusal(runts.exec(target.id, { ...on, args: ["cat"], stdin: "pipe" })),
          await refusal(runts.run({ ...target, id: target.id + "b", stdin: "pipe" })),
          (await runts.list(on)).length,
        ];
      } finally {
        await runts.remove(target.id, { ...on, force: true });
      }
    `;
      const refusal = ["RuntsError", "stdin"];
      expect(await program(sandbox, sandbox.shell("cat"), body)).toEqual([refusal, refusal, 1]);
    },
  );

  spec("create with invalid streams: refused by name, nothing left", CLAUSE, async (sandbox) => {
    const body = `
      const refusals = [];
      for (const stdout of [999, -1, NaN, "pipes", null])
        await runts.create({ ...target, stdout }).catch(({ name, message }) => refusals.push(name + " " + message));
      return [refusals, await runts.list(on)];
    `;
    const target = 'must be "inherit", "ignore", "pipe" or an open descriptor, not';
    expect(await program(sandbox, sandbox.shell("true"), body)).toEqual([
      [
        "RuntsError stdout: descriptor 999 is not open",
        "RuntsError stdout: descriptor -1 is not open",
        "RuntsError stdout: descriptor NaN is not open",
        `RuntsError stdout: ${target} "pipes"`,
        `RuntsError stdout: ${target} null`,
      ],
      [],
    ]);
  });

  spec("create and update with values that JSON doesn't have: refused", CLAUSE, async (sandbox) => {
    const body = `
      const pointers = ({ issues }) => issues.map(({ pointer }) => pointer);
      const create = (changes) => runts.create({ ...target, config: { ...config, ...changes } }).catch(pointers);
      const process = { ...config.process, user: { uid: NaN, gid: 0 }, env: ["A=b", undefined] };
      const refusals = [await create({ process }), pointers({ issues: runts.validate({ ...config, process }) })];
      await runts.create(target);
      try {
        return [...refusals, await runts.update(target.id, { pids: { limit: Infinity } }, on).catch(pointers)];
      } finally {
        await runts.remove(target.id, { ...on, force: true });
      }
    `;
    const wrong = ["/process/user/uid", "/process/env/1"];
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual([wrong, wrong, ["/pids/limit"]]);
  });
});
