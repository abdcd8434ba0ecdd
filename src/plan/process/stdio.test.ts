import { expect, it } from "vitest";
import { only, statx, summary, testPlan } from "../plan.test-support.ts";
import { chownStdio, openContainerNull, replaceNulls } from "./stdio.ts";

const CHARACTER_DEVICE = 0o020_666;
const BLOCK_DEVICE = 0o060_666;
const FILE = 0o100_600;

it("chownStdio: the container's user becomes the owner of the listed streams", () => {
  const { program } = testPlan({});
  const process = { cwd: "/", args: ["sh"], user: { uid: 1000 } };
  chownStdio(program, process, { nulls: [0], chown: [1] });
  expect(program.operations).toMatchObject([{ call: "fchown", args: [1, 1000, -1] }]);
});

it("openContainerNull: opens nothing if no stream is the host's /dev/null", () => {
  const { program, plan } = testPlan({});
  expect(openContainerNull(program, plan.root, { nulls: [], chown: [1] })).toBeUndefined();
  expect(program.operations).toEqual([]);
});

it.each([
  ["the null device", statx(CHARACTER_DEVICE, 1, 3), true],
  ["another device", statx(CHARACTER_DEVICE, 1, 5), false],
  ["a disk with that number", statx(BLOCK_DEVICE, 1, 3), false],
  ["a regular file", statx(FILE), false],
  ["nothing, since the open failed", new Uint8Array(256), false],
])("openContainerNull: what is open is %s", (_what, stat, expected) => {
  const { program, plan } = testPlan({});
  const opened = openContainerNull(program, plan.root, { nulls: [0, 2], chown: [] });
  expect(summary(program.operations)).toEqual(["openat2 /dev/null", "statx /dev/null ?positive"]);
  expect(opened?.isNull({ results: [], outputs: [stat], failure: undefined })).toBe(expected);
});

it("replaceNulls: all streams share one open file", () => {
  const { program, plan } = testPlan({});
  replaceNulls(program, { fd: plan.root, isNull: () => true }, { nulls: [0, 2], chown: [] });
  expect(only(program, "dup3").map(({ args }) => args)).toEqual([
    [plan.root, 0, 0],
    [plan.root, 2, 0],
  ]);
});
