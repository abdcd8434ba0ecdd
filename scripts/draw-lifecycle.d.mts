/** The picture of a container's life, as SVG. */
export function draw(): string;
/** What it shows; `code` names the files of the source that a step is in. */
export const steps: readonly { readonly code?: string }[];
