/** Rounds in which each subject is measured once, and statistics of their samples. */

/** Rounds before those that count. */
export const warmUps = 3;

/**
 * Takes turns: each round measures every subject once, in an order of its own, so that none always follows the same other one, whose
 * last traces the kernel may still be removing. `turns` has a function by subject, which returns figures by name. Returns the samples of
 * each figure by subject, in the order of the rounds. `before` rounds are not counted.
 */
export function alternate(turns, rounds, before = warmUps) {
  const samples = {};
  for (let round = -before; round < rounds; round++) {
    for (const subject of shuffle(Object.keys(turns))) {
      const figures = turns[subject]();
      if (round < 0) continue;
      for (const [figure, value] of Object.entries(figures)) {
        samples[figure] ??= {};
        samples[figure][subject] ??= [];
        samples[figure][subject].push(value);
      }
    }
  }
  return samples;
}

function shuffle(names) {
  const left = [...names];
  return names.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0]);
}

export function median(values) {
  return quantile(values, 0.5);
}

/** The value below which a part of the values lies, between two of them in proportion. */
function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * The ratio of two subjects of the same rounds: the median of the rounds' own ratios, with the quartiles, between which half of them lie.
 * A load that slows the machine down for a while affects both.
 */
export function pairedRatio(values, base) {
  const ratios = values.map((value, round) => value / base[round]);
  return { value: median(ratios), low: quantile(ratios, 0.25), high: quantile(ratios, 0.75) };
}
