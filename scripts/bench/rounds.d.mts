export type Samples = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
export type Turn = () => Readonly<Record<string, number>>;
export function alternate(turns: Readonly<Record<string, Turn>>, rounds: number, before?: number): Samples;
export function median(values: readonly number[]): number;
export function pairedRatio(
  values: readonly number[],
  base: readonly number[],
): { value: number; low: number; high: number };
