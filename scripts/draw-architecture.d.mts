/** The picture of the layers, as SVG. */
export function draw(): string;
