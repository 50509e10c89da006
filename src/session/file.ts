import type { ChangeSet, Text } from "@codemirror/state";
import { type Refusal, refuse } from "./refusal.ts";
import { countChanges, emptyText } from "./text.ts";
import { appendToTrail, type Trail, walkTrail } from "./trail.ts";

/**
 * Of how many versions one keeps the text that it was made on. A version of a file of ordinary lines costs little, as
 * it shares all but a few lines with the one before; one of a file that is a single long line costs the whole file.
 * Old texts are seldom asked for (by line edits and comments made on an old version), and can be made from these.
 */
const textInterval = 256;
/** Changes that may be composed to make an old text again, some 25 us each (Bun 1.4.5): a bound on the work of one message. */
const maxComposed = 256;
/** The newest versions of which the text is at hand: those that a cursor, a comment or a line edit stands on as a rule. */
const recentTexts = 4;
/** Only of files whose lines are this long at most, on the average: those of a long line share nothing with each other. */
const maxLineUnits = 1024;

/** One version of a file and how it came to be. */
export interface FileVersion {
  readonly version: number;
  readonly changes: ChangeSet;
  /** How many they are. */
  readonly pieces: number;
  /** Key of the client that made it. */
  readonly author: string;
  /** The text that it was made on, where it is kept. */
  readonly before: Text | undefined;
}

/** A file at its newest version. A deleted one stays, empty, so that one made again goes on from its version. */
export interface FileState {
  readonly path: string;
  readonly version: number;
  readonly text: Text;
  readonly deleted: boolean;
  /** The version that made it (anew): an edit of an older version was meant for a file that is gone. */
  readonly born: number;
  readonly history: Trail<FileVersion> | undefined;
  /** The texts of the versions before this one, newest first; few. */
  readonly recent: readonly Text[];
  /** Comments that stand in it. */
  readonly commentIds: readonly string[];
}

/** A file that was never there. */
export function absentFile(path: string): FileState {
  return { path, version: 0, text: emptyText, deleted: true, born: 0, history: undefined, recent: [], commentIds: [] };
}

/** The file after a change that was made on its newest version. */
export function advanceFile(
  file: FileState,
  changes: ChangeSet,
  author: string,
  deleted: boolean,
  historyVersions: number,
): FileState {
  const version = file.version + 1;
  const before = file.history === undefined || version % textInterval === 0 ? file.text : undefined;
  const made = { version, changes, pieces: countChanges(changes), author, before };
  const sharesLines = file.text.length <= maxLineUnits * file.text.lines;
  return {
    path: file.path,
    version,
    text: changes.apply(file.text),
    deleted,
    born: file.deleted && !deleted ? version : file.born,
    // Nothing that was made before a deletion is ever mapped again.
    history: deleted ? undefined : appendToTrail(file.history, made, historyVersions + textInterval),
    recent: deleted || !sharesLines ? [] : [file.text, ...file.recent.slice(0, recentTexts - 1)],
    commentIds: file.commentIds,
  };
}

/** Versions made after `version`, oldest first; refused where they are no longer all known, or it is none of this file's. */
export function versionsSince(
  file: FileState,
  version: number,
  historyVersions: number,
): readonly FileVersion[] | Refusal {
  if (version > file.version) {
    return refuse("VERSION_AHEAD", `version ${version} is ahead of ${file.version}`);
  }
  if (file.deleted || version < file.born) return refuse("FILE_DELETED");
  const missed = file.version - version;
  const stale = () =>
    refuse("STALE_VERSION", `version ${version} is too far behind ${file.version}; its history is no longer kept`);
  if (missed > historyVersions) return stale();
  const since: FileVersion[] = [];
  for (const made of walkTrail(file.history)) {
    if (since.length === missed) break;
    since.push(made);
  }
  return since.length === missed ? since.reverse() : stale();
}

/** The text of a version, if it is at hand: of the newest few it is. */
export function recentText(file: FileState, version: number): Text | undefined {
  return version === file.version ? file.text : file.recent[file.version - version - 1];
}

/** The text of a version whose successors are all known (`versionsSince`); refused where to make it again is too much work. */
export function textAt(file: FileState, version: number): Text | Refusal {
  const recent = recentText(file, version);
  if (recent !== undefined) return recent;
  const made: ChangeSet[] = [];
  let composed = 0;
  for (const { version: next, changes, pieces, before } of walkTrail(file.history)) {
    if (next <= version) {
      made.push(changes);
      composed += pieces;
      if (composed > maxComposed) return refuse("STALE_VERSION", `the text of version ${version} is no longer at hand`);
    }
    if (next > version + 1 || before === undefined) continue;
    // All in one change set: the text is made once, not once for each version.
    const [first, ...rest] = made.reverse();
    return first === undefined ? before : rest.reduce((all, one) => all.compose(one), first).apply(before);
  }
  throw new Error(`no text of version ${version} is kept`);
}

/** What a file counts of its session's text. A deleted one counts as its name: its version is kept for good. */
export function fileUnits({ path, version, deleted, text }: FileState): number {
  if (deleted) return version === 0 ? 0 : path.length + tombstoneUnits;
  return text.length;
}

const tombstoneUnits = 64;
