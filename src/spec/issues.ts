import type { ConfigIssue } from "../errors.ts";
import type { SchemaError } from "./config-validator.generated.js";
import { pointerToken } from "./json/scanner.ts";
import type { Config } from "./types.ts";

/** Reports a violated rule. The line is added later, found by the pointer. */
export type Report = (pointer: string, message: string) => void;

/** A rule that the schema can't express, because it compares values or needs arithmetic. */
export interface Rule {
  /** Pointers of the values that the rule reads. It is skipped if one of them breaks the schema. */
  readonly reads: readonly string[];
  check(config: Config, report: Report): void;
}

/** Messages for the patterns of config-schema.json. */
const PATTERN_MEANINGS: Readonly<Record<string, string>> = {
  "^/": "must be an absolute path",
  "^(?:/|$)": "must be an absolute path",
  "^[^]": "must not be empty",
  "^[^=]+=": "must have the form NAME=value",
  "^[0-9, -]*$": 'must be a list of numbers and ranges, such as "0-3,7"',
  "^[rwm]*$": "must consist of the letters r, w and m",
  "^[1-9][0-9]*[KMG]B$": 'must be a page size such as "2MB"',
  "^(?!\\.\\.?$)(?:/|[^/\\n]*)$": "must be a name without slashes and line breaks",
  "^[^\\n]*$": "must be a single line",
  "^(?:MB:[^\\n]*)?$": 'must be a single line that starts with "MB:"',
};

const INTEGER_RANGES: Readonly<Record<string, string>> = {
  int32: "from -2147483648 to 2147483647",
  int64: "from -9223372036854775808 to 9223372036854775807",
  uint16: "from 0 to 65535",
  uint32: "from 0 to 4294967295",
  uint64: "from 0 to 18446744073709551615",
  id: "from 0 to 4294967294",
};

export function schemaIssue(error: SchemaError): ConfigIssue {
  const { instancePath, keyword, params } = error;
  if (keyword === "required") {
    return {
      pointer: `${instancePath}/${pointerToken(String(params.missingProperty))}`,
      message: "is required",
    };
  }
  return { pointer: instancePath, message: expectation(keyword, params) };
}

function expectation(keyword: string, params: SchemaError["params"]): string {
  switch (keyword) {
    case "type":
      return `must be ${/^[aio]/.test(String(params.type)) ? "an" : "a"} ${params.type}`;
    case "integer":
      return `must be an integer ${INTEGER_RANGES[String(params.format)]}`;
    case "choice":
      return `must be one of ${params.allowed}`;
    case "minimum":
      return `must be at least ${params.limit}`;
    case "maximum":
      return `must be at most ${params.limit}`;
    case "minItems":
      return "must not be empty";
    default:
      return patternMeaning(String(params.pattern));
  }
}

function patternMeaning(pattern: string): string {
  if (pattern.startsWith("^(?:0|[1-9]")) return 'must be a version in SemVer 2.0 form, such as "1.3.0"';
  return PATTERN_MEANINGS[pattern] ?? `must match ${pattern}`;
}
