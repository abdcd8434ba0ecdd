import type { Samples } from "./bench/rounds.d.mts";

type Figures = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Content of docs/speed.json. */
export interface Speed {
  readonly rounds: number;
  readonly machine: { readonly kernel: string; readonly processors: number };
  readonly versions: Readonly<Record<string, string>>;
  readonly medians: Figures;
  readonly ratios: Figures;
}

export interface Measured extends Pick<Speed, "rounds" | "versions" | "machine"> {
  readonly samples: Samples;
}

export function summarize(measured: Measured): Speed;
/** As SVG. */
export function draw(speed: Speed): string;
/** In Markdown. */
export function table(speed: Speed): string;
/** docs/speed.md with the table of these numbers in place of the one it has. */
export function withTable(page: string, speed: Speed): string;
export function writeSpeed(speed: Speed): void;
