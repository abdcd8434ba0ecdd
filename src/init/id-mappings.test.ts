import { expect, it } from "vitest";
import { mapsOnly } from "./id-mappings.ts";

it.each([
  ["the own id", [{ containerID: 0, hostID: 1500, size: 1 }], true],
  ["the own id as another", [{ containerID: 7, hostID: 1500, size: 1 }], true],
  ["somebody else's", [{ containerID: 0, hostID: 1501, size: 1 }], false],
  ["a range", [{ containerID: 0, hostID: 1500, size: 2 }], false],
  [
    "the own id and more",
    [
      { containerID: 0, hostID: 1500, size: 1 },
      { containerID: 1, hostID: 100_000, size: 1 },
    ],
    false,
  ],
  ["nothing", [], false],
  ["absent", undefined, false],
])("a mapping of %s: whether a user may write it without help", (_title, mappings, expected) => {
  expect(mapsOnly(mappings, 1500)).toBe(expected);
});
