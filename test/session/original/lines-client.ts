import assert from "node:assert/strict";
import type { CodeEdit, SessionMessage } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { PresenceUpdate_Status as Status } from "../../../src/gen/codereview/v1/codereview_pb.ts";

/** How a client takes a line that it writes with a line break in it: as one line, or as the lines that it is. */
export type Habit = "whole" | "split";

/** A client that does what the original proto says of a line edit, and knows nothing else. */
export class LinesClient {
  readonly files = new Map<string, string[]>();
  readonly versions = new Map<string, number>();
  readonly comments = new Map<string, { readonly line: number; readonly text: string; readonly userId: string }>();
  readonly users = new Map<string, Status>();

  hear({ payload, userId }: Pick<SessionMessage, "payload" | "userId">): void {
    switch (payload.case) {
      case "edit": {
        const { filePath, lineNumber, content, version } = payload.value;
        assert.ok(!content.includes("\n"), "a line is one line");
        this.write(filePath, lineNumber, content, "whole");
        this.versions.set(filePath, version);
        return;
      }
      case "comment": {
        const { commentId, lineNumber: line, text } = payload.value;
        this.comments.set(commentId, { line, text, userId });
        return;
      }
      case "presence": {
        const { status } = payload.value;
        if (status === Status.LEFT) this.users.delete(userId);
        else this.users.set(userId, status);
        return;
      }
      case "cursor":
        return;
      default:
        assert.fail(`it cannot read ${payload.case}`);
    }
  }

  write(path: string, lineNumber: number, content: string, habit: Habit): void {
    const lines = this.lines(path);
    assert.ok(lineNumber >= 1 && lineNumber <= lines.length + 1, `line ${lineNumber} of ${lines.length} of ${path}`);
    lines.splice(lineNumber - 1, 1, ...(habit === "split" ? content.split("\n") : [content]));
    this.files.set(path, lines);
  }

  lines(path: string): string[] {
    return this.files.get(path) ?? [];
  }
}

export type LineEdit = Pick<CodeEdit, "filePath" | "lineNumber" | "content" | "version">;
