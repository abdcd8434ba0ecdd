/** One option, for the parser and for the help. */
export interface OptionDescription {
  readonly name: string;
  /** One letter. */
  readonly alias?: string;
  /** A list is an option that may be given several times. */
  readonly type: "string" | "boolean" | "number" | "list";
  readonly description: string;
  /** Shown in the help, and the value when the option is absent. */
  readonly default?: string;
}

/** How many arguments stand beside the options, and how the help names them. */
export interface Positionals {
  readonly usage: string;
  readonly min: number;
  readonly max: number;
  /** The arguments after the first are another program's: options among them are none of ours. */
  readonly endOptions?: boolean;
}
