import type { Samples } from "./rounds.d.mts";

export function judge(samples: Samples): readonly { figure: string; value: number; met: boolean }[];
