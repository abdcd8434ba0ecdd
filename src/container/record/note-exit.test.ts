import { expect, it } from "vitest";
import { noteExit } from "./note-exit.ts";
import { readSavedState, removeContainerDirectory } from "./saved-state.ts";
import { contextWith, savedState } from "./status.test-support.ts";

const KILLED = { exitCode: 137, signal: "SIGKILL" };
const ENDED = { pid: 42, startTime: "100" };

it("notes how init has ended, once", () => {
  const context = contextWith(ENDED);
  noteExit(context, savedState(ENDED), KILLED);
  expect(readSavedState(context.root, "box").saved).toMatchObject({ ...ENDED, exitStatus: KILLED });
  noteExit(context, savedState(ENDED), { exitCode: 0, signal: undefined });
  expect(readSavedState(context.root, "box").saved.exitStatus).toEqual(KILLED);
});

it.each([{ pid: 43 }, { startTime: "101" }])(
  "leaves a later container with the same id alone: %j",
  (other) => {
    const context = contextWith({ ...ENDED, ...other });
    noteExit(context, savedState(ENDED), KILLED);
    expect(readSavedState(context.root, "box").saved.exitStatus).toBeUndefined();
  },
);

it("does nothing if the container has been deleted", () => {
  const context = contextWith(ENDED);
  removeContainerDirectory(`${context.root}/box`);
  expect(() => noteExit(context, savedState(ENDED), KILLED)).not.toThrow();
});
