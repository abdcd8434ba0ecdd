import { expect, it } from "vitest";
import { parsePressureThreshold } from "./pressure-threshold.ts";

it.each([
  ["some:memory:150ms/1s", { kind: "some", resource: "memory", stallUs: 150_000, windowUs: 1_000_000 }],
  ["full:io:1s/10s", { kind: "full", resource: "io", stallUs: 1_000_000, windowUs: 10_000_000 }],
  ["some:cpu:1us/0.5s", { kind: "some", resource: "cpu", stallUs: 1, windowUs: 500_000 }],
  ["full:cpu:2s/2000ms", { kind: "full", resource: "cpu", stallUs: 2_000_000, windowUs: 2_000_000 }],
])("parses %s", (text, threshold) => {
  expect(parsePressureThreshold(text)).toEqual({ text, ...threshold });
});

it.each([
  "",
  "some",
  "some:memory",
  "some:memory:",
  "some:memory:1s",
  "some:memory:1s/",
  "some:memory:/1s",
  "some:memory:1s/1s/1s",
  "some:memory:1s/1s:x",
  "any:memory:1s/1s",
  "some:irq:1s/1s",
  "some:memory:1/1",
  "Some:memory:1s/1s",
])("refuses %j: the form", (text) => {
  expect(() => parsePressureThreshold(text)).toThrow(
    `invalid value ${JSON.stringify(text)} for flag -psi: must be some|full:cpu|memory|io:STALL/WINDOW, as in some:memory:150ms/1s`,
  );
});

it.each(["some:memory:1ms/499ms", "some:memory:1s/10001ms", "some:memory:-1s/-1s", "some:memory:0/0"])(
  "refuses %s: the window",
  (text) => expect(() => parsePressureThreshold(text)).toThrow("the window must be from 500ms to 10s"),
);

it.each(["some:memory:0s/1s", "some:memory:1ns/1s", "some:memory:-1s/1s", "some:memory:1001ms/1s"])(
  "refuses %s: the stall",
  (text) => expect(() => parsePressureThreshold(text)).toThrow("the stall must be from 1us to the window"),
);
