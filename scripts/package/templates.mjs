/** Fills the templates of packaging/. */
import { readText } from "./tree.mjs";

/** Puts texts into a template, in the places of their names between two `@`. */
export function fill(template, texts) {
  return template.replace(/@([A-Z]+)@\n?/g, (place, name) => {
    const text = texts[name];
    if (text === undefined) throw new Error(`what is ${place.trim()}?`);
    return place.endsWith("\n") && !text.endsWith("\n") ? `${text}\n` : text;
  });
}

/** What the scripts of .deb and .rpm have in common. `start` is the command that starts a unit of systemd. */
export function scriptParts(start) {
  return {
    RENEW: fill(readText("packaging/renew-image.sh"), { START: start }),
    CONTAINERS: readText("packaging/left-containers.sh"),
    STATE: readText("packaging/remove-cached-filters.sh"),
  };
}
