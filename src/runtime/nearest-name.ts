/** Edits of one character (put in, taken out, changed) that make one text of the other: Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const change = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** Beyond this, a name is nobody's typing error, and need not be compared. */
const maxNameLength = 64;

/** The known name that was most likely meant; undefined where more than a third of it would have to change. */
export function findNearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > maxNameLength) return undefined;
  const own = withoutPrefix(name);
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(own, withoutPrefix(candidate)) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best !== undefined && best.edits <= Math.max(1, Math.floor(own.length / 3)) ? best.candidate : undefined;
}

/** All names share `BATON_`, many share `BATON_LIMIT_`: what is shared, or left out, says nothing of what was meant. */
const withoutPrefix = (name: string) => name.replace(/^BATON_(LIMIT_)?/, "");
