/**
 * The frame and the colours of the pictures in the documents. Each picture has its own background, in light and in dark, since a site
 * may show a dark page to a browser that prefers light ones.
 */

const rules = {
  paper: ["fill", "#ffffff", "#0d1117"],
  ink: ["fill", "#1f2328", "#f0f6fc"],
  soft: ["fill", "#59636e", "#9ea7b3"],
  rule: ["stroke", "#8c959f", "#768390"],
  grid: ["stroke", "#d1d9e0", "#30363d"],
  blue: ["fill", "#dbeafe", "#16345f"],
  orange: ["fill", "#fdebd3", "#553410"],
  green: ["fill", "#d9f2df", "#12432a"],
  grey: ["fill", "#eaeef2", "#2a313c"],
  "strong-blue": ["fill", "#2f6fde", "#58a6ff"],
  "mid-blue": ["fill", "#a3c4f5", "#2d5288"],
  "strong-orange": ["fill", "#d9822b", "#d29922"],
  "strong-grey": ["fill", "#8c959f", "#768390"],
};

const styled = (theme) =>
  Object.entries(rules)
    .map(([name, [property, ...colors]]) => `.${name}{${property}:${colors[theme]}}`)
    .join("");

const style = `${styled(0)}@media(prefers-color-scheme:dark){${styled(1)}}`;

export function escapeXml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A picture, in pixels; `body` has its elements, one a line. */
export function svg({ width, height, title, body }) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="13" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}
