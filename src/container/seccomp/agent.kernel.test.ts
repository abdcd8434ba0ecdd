import { closeSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";
import { channelPair } from "../../../bindings/stub/client.ts";
import { takeListener } from "./agent.ts";

afterEach(() => vi.restoreAllMocks());

test("a process whose descriptors take long to look at: the limit is a time, not a number of looks", () => {
  const [connection, silent] = channelPair();
  let now = 0;
  let looks = 0;
  vi.spyOn(performance, "now").mockImplementation(() => {
    looks += 1;
    now += 25_000;
    return now;
  });
  try {
    const take = () => takeListener({ pid: process.pid, connection }, () => undefined);
    expect(take).toThrow(expect.objectContaining({ errno: "ETIMEDOUT", operation: "seccomp" }));
    expect(looks).toBeLessThan(6);
  } finally {
    for (const fd of [connection, silent]) closeSync(fd);
  }
});
