/**
 * The span of the caller that a command's span is a child of: W3C Trace Context, https://www.w3.org/TR/trace-context/, in the environment
 * variables that OpenTelemetry's "Environment Variables as Context Propagation Carriers" names.
 */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits. */
  readonly spanId: string;
  /** 8 bits, of which bit 0 says that the caller records the trace. */
  readonly flags: number;
  /** As in the variable; empty without one, or where it is malformed. */
  readonly state: string;
}

/** VERSION-TRACE_ID-PARENT_ID-FLAGS. Versions after 00 may append further parts: "Versioning of traceparent". */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The caller's context from the values of TRACEPARENT and TRACESTATE. Undefined without one, and where TRACEPARENT is malformed: then the
 * command begins a new trace, and TRACESTATE counts for nothing ("Processing Model").
 */
export function callerContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext | undefined {
  const [whole, version, traceId, spanId, flags, further] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  if (whole === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return undefined;
  if (version === "00" && further !== undefined) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16), state: validState(tracestate ?? "") };
}

const MOST_MEMBERS = 32;
/** "list-members": a key in lower case, maybe of a tenant, and a value of printable ASCII that does not end in a blank. */
const MEMBER =
  /^(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** The list as it is, if all of its members are well-formed, no key is there twice and there are at most 32; otherwise empty. */
function validState(tracestate: string): string {
  const members = tracestate
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf("="))));
  const isValid =
    members.length <= MOST_MEMBERS &&
    keys.size === members.length &&
    members.every((member) => MEMBER.test(member));
  return isValid ? members.join(",") : "";
}
