import type { OptionTable } from "./option.ts";

/** Options of commands that make an HTML page. */
export const pageOptions = {
  output: {
    alias: "o",
    type: "string",
    isPath: true,
    description: "file to write the page to, with mode 0600 [default: standard output]",
  },
  "show-env": {
    type: "boolean",
    description: "show the values of environments and annotations instead of masking them",
  },
} as const satisfies OptionTable;
