/** How the parser reads an option, and how help, man pages and completions show it. */
export interface Option {
  /** A list is an option that may be given several times. */
  readonly type: "string" | "boolean" | "number" | "list";
  /** One letter. */
  readonly alias?: string;
  readonly description: string;
  /** The value is a path: shells complete it. */
  readonly isPath?: true;
  /** The value when the option is absent; the help shows it. */
  readonly default?: string;
  /** For a boolean whose absence differs from `=false`: its value is undefined then. */
  readonly tristate?: true;
}

/** Options by their long names, without dashes. */
export type OptionTable = Readonly<Record<string, Option>>;

/** The type of an option's value. A string is undefined when it is absent or empty, as for runc, unless it has a default. */
export type OptionValue<O extends Option> = {
  readonly string: O extends { readonly default: string } ? string : string | undefined;
  readonly boolean: O extends { readonly tristate: true } ? boolean | undefined : boolean;
  readonly number: number;
  readonly list: readonly string[];
}[O["type"]];

/** The values of a table's options, by the same names. */
export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: OptionValue<Table[Name]>;
};

/** The arguments beside the options: how many there must be, and how the help names them. */
export interface Positionals {
  readonly usage: string;
  readonly min: keyof Required;
  readonly max: number;
  /** Options end at the first argument: those after it belong to another program. */
  readonly endOptions?: true;
}

interface Required {
  readonly 0: readonly [];
  readonly 1: readonly [string];
  readonly 2: readonly [string, string];
}

/** The arguments as a tuple: the required ones are strings, each further one may be undefined. */
export type PositionalValues<P extends Positionals> = readonly [...Required[P["min"]], ...string[]];
