/**
 * What a terminal would obey instead of showing: control characters of C0 and C1 (escape sequences begin with them),
 * line separators, and the marks that turn the direction of what follows.
 */
const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** One line of text as a terminal may be given it, whoever wrote it. */
export function printable(text: string): string {
  return text.replace(obeyed, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** A line of a file: a tab is kept. */
export function printableLine(text: string): string {
  return text.split("\t").map(printable).join("\t");
}
