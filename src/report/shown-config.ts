import { RuntsError } from "../errors.ts";
import { readJson } from "../spec/json/reader.ts";
import { readRegularFile } from "../spec/regular-file.ts";
import { tokensOf } from "./config-lines.ts";
import { type ConfigSectionOptions, configSection, pointersOf } from "./config-section.ts";
import { maskedToken, maskFor } from "./mask.ts";
import type { Section } from "./parts.ts";

/** A config on a page that is not about the config: nothing is said of its errors, and its secrets are always masked. */
export interface ShownConfig {
  readonly pointers: ReadonlySet<string>;
  section(operations: ConfigSectionOptions["operations"]): Section;
  /** Hides the config's secrets in other text. */
  mask(text: string): string;
}

/** Returns undefined for a config that is not there, or is not JSON. */
export function readShownConfig(path: string): ShownConfig | undefined {
  try {
    const tokens = tokensOf(readJson(readRegularFile(path), path).text);
    return {
      pointers: pointersOf(tokens),
      section: (operations) => configSection(path, tokens, { operations, shown: maskedToken }),
      mask: maskFor(tokens),
    };
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}
