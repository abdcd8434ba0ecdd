import { describe, expect, it } from "vitest";
import {
  type ElfHeader,
  executableFormat,
  interpreterRange,
  isProgram,
  machineName,
} from "./executable-format.ts";

const X86_64 = 62;

function elf(set: (header: DataView) => void, { bits = 64, little = true } = {}): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, little ? 1 : 2]);
  set(new DataView(bytes.buffer));
  return bytes;
}

function headerOf(bytes: Uint8Array): ElfHeader {
  const format = executableFormat(bytes);
  if (format.kind !== "elf") throw new Error(`not ELF but ${format.kind}`);
  return format.header;
}

describe("executableFormat", () => {
  it.each([
    ["#!/bin/sh\necho", "/bin/sh"],
    ["#! \t/usr/bin/env  sh -x\n", "/usr/bin/env"],
    ["#!/bin/sh\r\necho\r\n", "/bin/sh\r"],
    ["#!/bin/sh", "/bin/sh"],
    ["#!\n/bin/sh", ""],
    ["#!", ""],
    ["#!/bin/sch\xe4l\n", "/bin/sch\xe4l"],
    [`#!${"x".repeat(500)}\n`, "x".repeat(254)],
  ])("of %j is a script", (text, interpreter) => {
    expect(executableFormat(Buffer.from(text, "latin1"))).toEqual({ kind: "script", interpreter });
  });

  it.each(["", "#", "# !/bin/sh", "\x7fELF", "garbage", "\x7fELG".padEnd(64)])("of %j is unknown", (text) => {
    expect(executableFormat(Buffer.from(text, "latin1"))).toEqual({ kind: "unknown" });
  });

  it("reads ELF of 64 bits", () => {
    const bytes = elf((header) => {
      header.setUint16(16, 3, true);
      header.setUint16(18, X86_64, true);
      header.setBigUint64(32, 64n, true);
      header.setUint16(54, 56, true);
      header.setUint16(56, 9, true);
    });
    expect(headerOf(bytes)).toEqual({
      bits: 64,
      littleEndian: true,
      type: 3,
      machine: X86_64,
      segments: { offset: 64, entry: 56, length: 504 },
    });
  });

  it("reads ELF of 32 bits, big endian", () => {
    const bytes = elf(
      (header) => {
        header.setUint16(16, 2);
        header.setUint16(18, 8);
        header.setUint32(28, 52);
        header.setUint16(42, 32);
        header.setUint16(44, 2);
      },
      { bits: 32, little: false },
    );
    expect(headerOf(bytes)).toEqual({
      bits: 32,
      littleEndian: false,
      type: 2,
      machine: 8,
      segments: { offset: 52, entry: 32, length: 64 },
    });
  });
});

describe("interpreterRange", () => {
  const header: ElfHeader = {
    bits: 64,
    littleEndian: true,
    type: 3,
    machine: X86_64,
    segments: { offset: 64, entry: 56, length: 112 },
  };
  const table = (type: number) => {
    const view = new DataView(new ArrayBuffer(112));
    view.setUint32(0, 6, true);
    view.setUint32(56, type, true);
    view.setBigUint64(64, 0x318n, true);
    view.setBigUint64(88, 28n, true);
    return new Uint8Array(view.buffer);
  };

  it("is the range of PT_INTERP", () => {
    expect(interpreterRange(header, table(3))).toEqual({ offset: 0x318, length: 28 });
  });

  it("is found in 32-bit files, too", () => {
    const view = new DataView(new ArrayBuffer(32));
    view.setUint32(0, 3, true);
    view.setUint32(4, 0x154, true);
    view.setUint32(16, 19, true);
    const small: ElfHeader = { ...header, bits: 32, segments: { offset: 52, entry: 32, length: 32 } };
    expect(interpreterRange(small, new Uint8Array(view.buffer))).toEqual({ offset: 0x154, length: 19 });
  });

  it.each([
    ["a static executable", header, table(1)],
    ["a truncated table", header, table(3).subarray(0, 100)],
    ["no entries", { ...header, segments: { offset: 0, entry: 0, length: 0 } }, table(3)],
    ["entries too small", { ...header, segments: { offset: 0, entry: 8, length: 112 } }, table(3)],
  ])("is none for %s", (_title, file, bytes) => {
    expect(interpreterRange(file, bytes)).toBeUndefined();
  });
});

it("distinguishes programs from object files and core dumps", () => {
  const header = (type: number) => headerOf(elf((view) => view.setUint16(16, type, true)));
  expect([0, 1, 2, 3, 4].map((type) => isProgram(header(type)))).toEqual([false, false, true, true, false]);
});

it("names machines", () => {
  const header = (machine: number) => headerOf(elf((view) => view.setUint16(18, machine, true)));
  expect([62, 183, 9999].map((machine) => machineName(header(machine)))).toEqual([
    "x86-64",
    "arm64",
    "machine 9999 (64 bits, little endian)",
  ]);
});
