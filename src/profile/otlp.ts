import { version } from "../version.ts";
import type { Recording, TimedCall } from "./recording.ts";
import { type Group, groupsOf } from "./trace.ts";
import type { TraceContext } from "./trace-context.ts";

/**
 * A profile as an ExportTraceServiceRequest of the OpenTelemetry protocol, in its JSON encoding: names in lowerCamelCase, ids in hexadecimal,
 * enumerations as numbers and 64-bit integers as strings. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 *
 * The spans are a tree: the command; the processes that it has made; sections of the config; operations, of which each has one purpose.
 * The system calls of an operation are its events. A `run` has some hundred spans like that, and would have five hundred with one for
 * each call.
 */
export interface TraceRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string; readonly version: string };
      readonly spans: readonly Span[];
    }[];
  }[];
}

interface Attribute {
  readonly key: string;
  readonly value: Value;
}

type Value =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly arrayValue: { readonly values: readonly Value[] } };

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Absent for the first span of a trace. */
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  /** Nanoseconds since 1970. */
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly events?: readonly {
    readonly timeUnixNano: string;
    readonly name: string;
    readonly attributes: readonly Attribute[];
  }[];
  readonly status?: { readonly code: number; readonly message: string };
}

/** Facts about the process that wrote the recording, and its caller. */
export interface Surroundings {
  readonly hostName: string;
  readonly pid: number;
  /** Base name of the executable. */
  readonly executable: string;
  readonly caller: TraceContext | undefined;
  /** Returns an unpredictable number of 64 bits. */
  random(): bigint;
}

const SPAN_KIND_INTERNAL = 1;
const STATUS_CODE_ERROR = 2;
/** The caller records this trace: W3C Trace Context, "Sampled flag". */
const SAMPLED = 0x01;
/** SpanFlags of trace.proto: the parent is known to be in another process, or in this one. */
const CONTEXT_HAS_IS_REMOTE = 0x100;
const CONTEXT_IS_REMOTE = 0x200;

/**
 * The text of a request, as a line of a JSON Lines file: OpenTelemetry Protocol File Exporter. Half a surrogate pair, which a config may have,
 * is not UTF-8 and becomes U+FFFD.
 */
export function otlpText(recording: Recording, surroundings: Surroundings): string {
  const wellFormed = (_: string, value: unknown) =>
    typeof value === "string" ? Buffer.from(value).toString() : value;
  return `${JSON.stringify(requestOf(recording, surroundings), wellFormed)}\n`;
}

export function requestOf(recording: Recording, surroundings: Surroundings): TraceRequest {
  const { container } = recording;
  return {
    resourceSpans: [
      {
        resource: {
          attributes: attributes({
            "service.name": "runts",
            "service.version": version,
            "host.name": surroundings.hostName,
            "process.pid": surroundings.pid,
            "container.id": container,
            "container.runtime.name": "runts",
            "container.runtime.version": version,
          }),
        },
        scopeSpans: [{ scope: { name: "runts", version }, spans: spansOf(recording, surroundings) }],
      },
    ],
  };
}

function spansOf(recording: Recording, surroundings: Surroundings): Span[] {
  const tree = new SpanTree(recording, surroundings);
  const { command, calls, end } = recording;
  const root = tree.add(undefined, {
    name: `runts ${command}`,
    begin: 0,
    end,
    attributes: rootAttributes(recording, surroundings),
    ...failureOf(recording),
  });
  const failing = failingCall(recording);
  for (const [by, groups] of byProcess(groupsOf(calls))) {
    const parent = by === "runtime" ? root : tree.add(root, processSpan(by, groups));
    for (const section of sectionsOf(groups)) {
      const above = section.length === 1 ? parent : tree.add(parent, sectionSpan(section));
      for (const group of section) tree.add(above, operationSpan(group, failing));
    }
  }
  return tree.spans;
}

/** A span before it has its place in the tree. Times are microseconds since the recording began. */
interface Planned {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
  readonly attributes: readonly Attribute[];
  readonly events?: readonly TimedCall[];
  readonly status?: Span["status"];
}

class SpanTree {
  readonly spans: Span[] = [];
  readonly #start: bigint;
  readonly #random: () => bigint;
  readonly #caller: TraceContext | undefined;
  readonly #traceId: string;

  constructor({ start }: Recording, { random, caller }: Surroundings) {
    this.#start = start;
    this.#random = random;
    this.#caller = caller;
    this.#traceId = caller?.traceId ?? `${this.#id()}${this.#id()}`;
  }

  /** Adds a span and returns its id. Without a parent it is the caller's child, or begins the trace. */
  add(parent: string | undefined, { name, begin, end, attributes, events, status }: Planned): string {
    const spanId = this.#id();
    const { spanId: callerSpan, flags = SAMPLED, state = "" } = this.#caller ?? {};
    const parentSpanId = parent ?? callerSpan;
    const isRemote = parent === undefined && callerSpan !== undefined;
    this.spans.push({
      traceId: this.#traceId,
      spanId,
      ...(parentSpanId !== undefined && { parentSpanId }),
      ...(state !== "" && { traceState: state }),
      flags: flags | CONTEXT_HAS_IS_REMOTE | (isRemote ? CONTEXT_IS_REMOTE : 0),
      name: name,
      kind: SPAN_KIND_INTERNAL,
      startTimeUnixNano: this.#time(begin),
      endTimeUnixNano: this.#time(Math.max(begin, end)),
      attributes,
      ...(events !== undefined && { events: events.map((call) => this.#event(call)) }),
      ...(status !== undefined && { status }),
    });
    return spanId;
  }

  /** All zeros are not an id. */
  #id(): string {
    let number = 0n;
    while (number === 0n) number = this.#random();
    return number.toString(16).padStart(16, "0");
  }

  #time(microseconds: number): string {
    return String(this.#start + BigInt(Math.round(microseconds * 1000)));
  }

  #event({ call, begin, end, path, errno }: TimedCall) {
    return {
      timeUnixNano: this.#time(begin),
      name: call,
      attributes: attributes({
        "runts.duration_ns": Math.round(Math.max(0, end - begin) * 1000),
        // Other arguments, such as those of fsconfig(2), may be secrets. This file is meant to leave the host.
        "file.path": path.startsWith("/") ? path : "",
        "runts.errno": errno,
      }),
    };
  }
}

/** Semantic conventions for CLI programs, Execution (callee) spans. */
function rootAttributes(
  { command, outcome: { exitCode, error } }: Recording,
  { pid, executable }: Surroundings,
): Attribute[] {
  return attributes({
    "process.executable.name": executable,
    "process.pid": pid,
    "process.exit.code": exitCode,
    // As HTTP spans do it: a name for errors of the runtime itself, and the code that the container's process ended with.
    "error.type": exitCode === 0 ? "" : error === undefined ? String(exitCode) : error.errno || error.name,
    "runts.command": command,
    "runts.config.pointer": error?.pointer ?? "",
  });
}

function failureOf({ outcome: { exitCode, error } }: Recording): Pick<Planned, "status"> {
  if (exitCode === 0) return {};
  const message = error?.message ?? `the process ended with exit code ${exitCode}`;
  return { status: { code: STATUS_CODE_ERROR, message: message } };
}

/** The call whose failure is the error of the command; undefined if there is none, or if it is unknown. */
function failingCall({ calls, outcome: { error } }: Recording): TimedCall | undefined {
  if (error === undefined || error.errno === "") return undefined;
  return calls.findLast(
    ({ call, errno, isFatal }) => errno === error.errno && (isFatal || call === error.operation),
  );
}

function byProcess(groups: readonly Group[]): Map<string, Group[]> {
  const found = new Map<string, Group[]>();
  for (const group of groups) found.set(group.by, [...(found.get(group.by) ?? []), group]);
  return found;
}

/** Consecutive operations of one process for the same section of the config. Those without a pointer stand alone. */
function sectionsOf(groups: readonly Group[]): Group[][] {
  const sections: Group[][] = [];
  for (const group of groups) {
    const open = sections.at(-1);
    const section = sectionOf(group.pointer);
    if (open?.[0] !== undefined && section !== "" && sectionOf(open[0].pointer) === section) open.push(group);
    else sections.push([group]);
  }
  return sections;
}

/** `/mounts` for `/mounts/1/source`, `/linux/devices` for `/linux/devices/0`: the pointer of a whole section. */
function sectionOf(pointer: string): string {
  return /^\/linux\/[^/]+|^\/[^/]+/.exec(pointer)?.[0] ?? "";
}

function processSpan(name: string, groups: readonly Group[]): Planned {
  return { name, ...timesOf(groups), attributes: attributes({ "runts.process": name }) };
}

function sectionSpan(section: readonly Group[]): Planned {
  const [{ by = "", pointer = "" } = {}] = section;
  const whole = sectionOf(pointer);
  return {
    name: whole.slice(1).replaceAll("/", "."),
    ...timesOf(section),
    attributes: attributes({ "runts.process": by, "runts.config.pointer": whole }),
  };
}

function timesOf(groups: readonly Group[]): Pick<Planned, "begin" | "end"> {
  return {
    begin: Math.min(...groups.map(({ begin }) => begin)),
    end: Math.max(...groups.map(({ end }) => end)),
  };
}

function operationSpan(
  { by, purpose, pointer, begin, end, calls }: Group,
  failing: TimedCall | undefined,
): Planned {
  const failed = failing !== undefined && calls.includes(failing) ? failing : undefined;
  return {
    // The same in all containers, so that viewers can compare: Span, "low cardinality" in the API specification.
    name: purpose.replace(/(^| )\/\S*/g, "$1{path}"),
    begin,
    end,
    attributes: attributes({
      "runts.process": by,
      "runts.purpose": purpose,
      "runts.config.pointer": pointer,
      "runts.syscalls": [...new Set(calls.map(({ call }) => call))],
      "error.type": failed?.errno ?? "",
    }),
    events: calls,
    ...(failed !== undefined && {
      status: { code: STATUS_CODE_ERROR, message: `${failed.call}: ${failed.errno}` },
    }),
  };
}

/** Attributes in the order of the object; empty texts are left out. */
function attributes(values: Readonly<Record<string, string | number | readonly string[]>>): Attribute[] {
  return Object.entries(values)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | readonly string[]): Value {
  if (typeof value === "number") return { intValue: String(value) };
  if (typeof value === "string") return { stringValue: value };
  return { arrayValue: { values: value.map(anyValue) } };
}
