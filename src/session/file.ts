import type { ChangeSet, Text } from "@codemirror/state";
import { type Refusal, refuse } from "./refusal.ts";
import { emptyText } from "./text.ts";
import { appendToTrail, type Trail, walkTrail } from "./trail.ts";

/**
 * Of how many versions one keeps the text that it was made on. A version of a file of ordinary lines costs little, as
 * it shares all but a few lines with the one before; one of a file that is a single long line costs the whole file.
 * Old texts are seldom asked for (by line edits and comments made on an old version), and can be made from these.
 */
const textInterval = 256;

/** One version of a file and how it came to be. */
export interface FileVersion {
  readonly version: number;
  readonly changes: ChangeSet;
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
  /** Comments that stand in it. */
  readonly commentIds: readonly string[];
}

/** A file that was never there. */
export function absentFile(path: string): FileState {
  return { path, version: 0, text: emptyText, deleted: true, born: 0, history: undefined, commentIds: [] };
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
  return {
    path: file.path,
    version,
    text: changes.apply(file.text),
    deleted,
    born: file.deleted && !deleted ? version : file.born,
    history: appendToTrail(file.history, { version, changes, author, before }, historyVersions + textInterval),
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

/** The text of a version whose successors are all known (`versionsSince`). */
export function textAt(file: FileState, version: number): Text {
  if (version === file.version) return file.text;
  const made: ChangeSet[] = [];
  for (const { version: next, changes, before } of walkTrail(file.history)) {
    if (next <= version) made.push(changes);
    if (next > version + 1 || before === undefined) continue;
    // All in one change set: the text is made once, not once for each version.
    const [first, ...rest] = made.reverse();
    return first === undefined ? before : rest.reduce((all, one) => all.compose(one), first).apply(before);
  }
  throw new Error(`no text of version ${version} is kept`);
}
