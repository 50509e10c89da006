import type { ChangeSet } from "@codemirror/state";
import type { CodeEdit } from "../gen/codereview/v1/codereview_pb.ts";
import { absentFile, type FileState, type FileVersion, fileUnits, textAt, versionsSince } from "./file.ts";
import type { Limits } from "./limits.ts";
import { isPathValid } from "./path.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";
import type { SessionState } from "./state.ts";
import {
  type Change,
  changeSet,
  countChanges,
  emptyText,
  lineChange,
  listChanges,
  normalizeChanges,
  parseChanges,
  splitsPair,
} from "./text.ts";

/** An edit that fits: as it goes into the log, and as a change of the file's newest version. */
export interface PlannedEdit {
  readonly kind: "edit";
  readonly file: FileState;
  readonly changes: ChangeSet;
  readonly deleted: boolean;
}

/**
 * Puts an edit on the file's newest version: what it says of the version it was made on is mapped over what the file
 * saw since, where at one place what was logged first stands first. `linesShown` is for the line form (`lineChange`).
 */
export function planEdit(
  state: SessionState,
  author: string,
  edit: CodeEdit,
  limits: Limits,
  linesShown = 0,
): PlannedEdit | Refusal {
  if (!isPathValid(edit.filePath)) return refuse("PATH_INVALID");
  const size = checkSize(edit, limits);
  if (size !== undefined) return size;
  const file = state.files.get(edit.filePath) ?? absentFile(edit.filePath);
  const since = edit.version === 0 ? planCreation(state, file, edit, limits) : missedBy(file, author, edit, limits);
  if (isRefusal(since)) return since;
  const changes = edit.deleted ? deleteAll(file) : mapOver(file, since, edit, limits, linesShown);
  if (isRefusal(changes)) return changes;
  const growth = changes.newLength - fileUnits(file);
  if (changes.newLength > Math.max(limits.fileBytes, file.text.length)) {
    return refuse("DOCUMENT_TOO_LARGE", `the file would be ${changes.newLength} > ${limits.fileBytes}`);
  }
  if (growth > 0 && state.units + growth > limits.sessionBytes) {
    return refuse("DOCUMENT_TOO_LARGE", `the session's text would be ${state.units + growth} > ${limits.sessionBytes}`);
  }
  return { kind: "edit", file, changes, deleted: edit.deleted };
}

/** The edit as the log has it: in the range form, with the version that it makes; always with a change, if an empty one. */
export function encodePlan({ file, changes: set, deleted }: PlannedEdit): CodeEdit {
  const list = listChanges(set);
  const changes = list.length > 0 ? list : [{ from: 0, to: 0, insert: "" }];
  // Written out: protobuf-es's `create` takes five times as long.
  return {
    $typeName: "codereview.v1.CodeEdit",
    filePath: file.path,
    lineNumber: 0,
    content: "",
    version: file.version + 1,
    changes: changes.map(({ from, to, insert }) => ({ $typeName: "codereview.v1.TextChange", from, to, insert })),
    deleted,
  };
}

function checkSize(edit: CodeEdit, limits: Limits): Refusal | undefined {
  if (edit.changes.length > limits.editChanges) {
    return refuse("EDIT_TOO_LARGE", `${edit.changes.length} changes in one edit > ${limits.editChanges}`);
  }
  const isRangeForm = edit.changes.length > 0;
  const inserted = isRangeForm ? edit.changes.reduce((sum, { insert }) => sum + insert.length, 0) : edit.content.length;
  if (inserted > limits.editBytes) {
    return refuse("EDIT_TOO_LARGE", `the edit inserts ${inserted} > ${limits.editBytes}`);
  }
  return undefined;
}

function planCreation(
  state: SessionState,
  file: FileState,
  edit: CodeEdit,
  limits: Limits,
): readonly FileVersion[] | Refusal {
  if (!file.deleted) return refuse("FILE_EXISTS");
  if (edit.deleted) return refuse("FILE_NOT_FOUND");
  if (state.fileCount >= limits.sessionFiles) {
    return refuse("TOO_MANY_FILES", `the session has ${state.fileCount} files, and may have ${limits.sessionFiles}`);
  }
  return [];
}

function missedBy(file: FileState, author: string, edit: CodeEdit, limits: Limits): readonly FileVersion[] | Refusal {
  if (file.version === 0) return refuse("FILE_NOT_FOUND");
  if (edit.version < 0) return refuse("EDIT_OUT_OF_RANGE", "a version is not negative");
  const since = versionsSince(file, edit.version, limits.fileHistory);
  if (isRefusal(since)) return since;
  return since.some((made) => made.author === author) ? refuse("UNACKED_BASE") : since;
}

function deleteAll(file: FileState): ChangeSet {
  const { length } = file.text;
  return changeSet(length, length === 0 ? [] : [{ from: 0, to: length, insert: "" }]);
}

/**
 * Into how many times the changes allowed one edit may fall when it is mapped (a deletion of what others have written
 * into). More is sent back, and comes again as an edit of the newest text: a bound on the record and on the work.
 */
const maxPieces = 4;

function mapOver(
  file: FileState,
  since: readonly FileVersion[],
  edit: CodeEdit,
  limits: Limits,
  linesShown: number,
): ChangeSet | Refusal {
  const length = since[0]?.changes.length ?? file.text.length;
  const changes = changesOf(edit, file, limits, linesShown);
  if (isRefusal(changes)) return changes;
  let set = parseChanges(length, changes);
  if (isRefusal(set)) return set;
  for (const earlier of since) {
    set = set.map(earlier.changes);
    if (countChanges(set) > maxPieces * limits.editChanges) {
      return refuse("STALE_VERSION", `too much was written since version ${edit.version} where the edit changes it`);
    }
  }
  // Told of the newest text: it alone must stay whole, and old ones are not at hand.
  if (splitsPair(file.text, set)) {
    return refuse("EDIT_OUT_OF_RANGE", "the edit does not apply: a change splits a surrogate pair");
  }
  return since.length === 0 ? set : normalizeChanges(set);
}

function changesOf(edit: CodeEdit, file: FileState, limits: Limits, linesShown: number): readonly Change[] | Refusal {
  if (edit.changes.length > 0) return edit.changes;
  // A file made empty: the line form with no line.
  if (edit.version === 0 && edit.lineNumber === 0 && edit.content === "") return [];
  const text = edit.version === 0 ? emptyText : textAt(file, edit.version);
  if (isRefusal(text)) return text;
  // No more lines are made than one edit may insert text.
  const change = lineChange(text, edit.lineNumber, edit.content, Math.min(linesShown, text.lines + limits.editBytes));
  return isRefusal(change) ? change : [change];
}
