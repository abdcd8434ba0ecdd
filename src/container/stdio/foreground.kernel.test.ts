import { closeSync, fstatSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { channelPair } from "../../../bindings/stub/client.ts";
import { checkMaster } from "./foreground.ts";

test("checkMaster takes the master of a terminal", () => {
  const master = openSync("/dev/ptmx", "r+");
  checkMaster(master);
  closeSync(master);
});

test.each([
  ["a file", () => openSync(import.meta.filename, "r")],
  ["another character device", () => openSync("/dev/null", "r+")],
  [
    "a socket",
    () => {
      const [ours, theirs] = channelPair();
      closeSync(theirs);
      return ours;
    },
  ],
])("checkMaster refuses and closes %s", (_, open) => {
  const fd = open();
  expect(() => checkMaster(fd)).toThrow(expect.objectContaining({ errno: "EPROTO" }));
  expect(() => fstatSync(fd)).toThrow("EBADF");
});
