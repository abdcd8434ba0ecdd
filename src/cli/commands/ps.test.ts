import { expect, it } from "vitest";
import { selectProcesses } from "./ps.ts";

const table = [
  "UID          PID    PPID  C STIME TTY          TIME CMD",
  "root           1       0  0 01:45 ?        00:00:00 init",
  "root          66       1  4 01:45 ?        00:00:00 sleep 301",
  "root         166      66  0 01:45 ?        00:00:00 sleep 1 66",
  "",
].join("\n");

it("keeps the title and the lines of the given processes, as they are", () => {
  expect(selectProcesses(table, [66, 7])).toBe(
    "UID          PID    PPID  C STIME TTY          TIME CMD\n" +
      "root          66       1  4 01:45 ?        00:00:00 sleep 301\n",
  );
  expect(selectProcesses(table, [])).toBe("UID          PID    PPID  C STIME TTY          TIME CMD\n");
});

it("finds the PID column at any position", () => {
  expect(selectProcesses("    PID COMMAND\n      5 a\n     55 b\n", [55])).toBe(
    "    PID COMMAND\n     55 b\n",
  );
  expect(selectProcesses("COMMAND  PPID PID\na 1 5\n", [5])).toBe("COMMAND  PPID PID\na 1 5\n");
});

it("refuses a table without the column, and a line without a number in it", () => {
  expect(() => selectProcesses("COMMAND\nsh\n", [5])).toThrow("couldn't find PID field in ps output");
  expect(() => selectProcesses("", [5])).toThrow("couldn't find PID field in ps output");
  expect(() => selectProcesses("COMMAND PID\ntwo words 5\n", [5])).toThrow('unable to parse pid: "words"');
});
