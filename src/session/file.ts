import type { ChangeSet, Text } from "@codemirror/state";
import { type Refusal, refuse } from "./refusal.ts";
import { emptyText } from "./text.ts";
import { appendToTrail, type Trail, walkTrail } from "./trail.ts";

/** One version of a file and how it came to be. */
export interface FileVersion {
  readonly version: number;
  readonly before: Text;
  readonly changes: ChangeSet;
  /** Key of the client that made it. */
  readonly author: string;
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
  return {
    path: file.path,
    version,
    text: changes.apply(file.text),
    deleted,
    born: file.deleted && !deleted ? version : file.born,
    history: appendToTrail(file.history, { version, before: file.text, changes, author }, historyVersions),
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

/** The text that the first of `since` was made on. */
export function textBefore(file: FileState, since: readonly FileVersion[]): Text {
  return since[0]?.before ?? file.text;
}
