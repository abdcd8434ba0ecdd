/** The picture of a container's life, as SVG. */
export function draw(): string;
/** Its steps; `code` names the source files of a step. */
export const steps: readonly { readonly code?: string }[];
